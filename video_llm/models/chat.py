"""Chat templates: turns of `{"type": "video"}` and `{"type": "text"}` parts, or of plain text, as one prompt.

What people write is text and nothing else: a blank comes into the marks of a template in it, `< |` for `<|`, so that it
neither makes a place for a video nor begins or ends a turn.
"""

from typing import Any

from tvu.video_llm.models.new_tokens import VIDEO


def _parts(*marks: str) -> str:
    """The macro that tells a content, in which people may write none of `marks`."""
    split = "".join(f" | replace('{mark}', '{mark[0]} {mark[1:]}')" for mark in marks)
    return """
{%- macro told(content) -%}
{%- if content is string -%}{{- content SPLIT -}}
{%- else -%}
{%- for part in content -%}
{%- if part['type'] == 'video' -%}{{- 'VIDEO' -}}
{%- elif part['type'] == 'text' -%}{{- part['text'] SPLIT -}}
{%- else -%}{{- raise_exception("a part is 'video' or 'text', not '" + part['type'] + "'") -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}""".replace("VIDEO", VIDEO).replace("SPLIT", split)


CHATML = (
    _parts("<|")
    + """
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' + told(message['content']) + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
)
"""SmolLM2's and Qwen's form; a system message is told where one is given, and none is made up."""

_INST = (
    _parts("<|", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>")
    + """
{%- set turns = namespace(system='', started=false) -%}
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}{%- set turns.system = SYSTEM -%}
{%- elif message['role'] == 'user' -%}
{%- if not turns.started or EACH_TURN -%}{{- bos_token -}}{%- endif -%}
{{- '[INST] ' + turns.system + told(message['content']) + ' [/INST]' -}}
{%- set turns.system = '' -%}{%- set turns.started = true -%}
{%- else -%}{{- ' ' + told(message['content']) + ' ' + eos_token -}}
{%- endif -%}
{%- endfor -%}
"""
)
LLAMA_2 = _INST.replace("SYSTEM", "'<<SYS>>\\n' + told(message['content']) + '\\n<</SYS>>\\n\\n'").replace(
    "EACH_TURN", "true"
)
"""`<s>[INST] <<SYS>> .. <</SYS>> question [/INST] answer </s>`, every turn with its own start: VTG-LLM's form."""

MISTRAL = (
    _INST.replace("SYSTEM", "told(message['content']) + '\\n\\n'")
    .replace("EACH_TURN", "false")
    .replace("+ ' ' + eos_token", "+ eos_token")
)
"""One start, no system turn: a system message stands before the first question."""


def template_of(tokenizer: Any) -> str:
    """The template whose marks `tokenizer` knows. Raises ValueError where it knows none: then one has to be chosen."""
    if "<|im_start|>" in tokenizer.get_vocab():
        return CHATML
    own = str(tokenizer.chat_template or "")
    if "[INST]" in own:
        return LLAMA_2 if "<<SYS>>" in own else MISTRAL
    raise ValueError("the tokenizer has no chat marks that are known here: give one of CHATML, LLAMA_2 or MISTRAL")
