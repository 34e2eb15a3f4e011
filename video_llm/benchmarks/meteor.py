"""The exact caption tools, which are Java programs: the Stanford tokeniser, and METEOR 1.5 with its paraphrase table.

Both jars and the table lie inside the package `pycocoevalcap`, which is never imported: it needs more than they do.
"""

import importlib.util
import math
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tvu.video_llm.benchmarks.tokens import penn_words
from tvu.video_llm.errors import BackendError

PACKAGE = "pycocoevalcap"
TIME_LIMIT = 300.0  # seconds without a line from a Java process
_BATCH = 24  # questions before answers are read: their answers must fit into the smallest pipe, of 4096 bytes
_LINE_ENDS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_JVM = ("-Dfile.encoding=UTF-8", "-Duser.language=en", "-Xmx2G")


@dataclass(frozen=True)
class JavaTools:
    """Where they are. java: the program; tokeniser, meteor: the jars."""

    java: str
    tokeniser: Path
    meteor: Path

    def penn_words(self, captions: Sequence[str]) -> list[str]:
        """The words of each caption, lower case, separated by blanks, without punctuation.

        The tokeniser reads all captions as one text, a line each, and may look at the next line to end a sentence: give
        them in the order of the file. Raises BackendError if it fails or takes too long.
        """
        if not captions:
            return []
        command = [self.java, *_JVM, "-cp", str(self.tokeniser), "edu.stanford.nlp.process.PTBTokenizer"]
        command += ["-preserveLines", "-lowerCase", "-encoding", "UTF-8"]
        text = "".join(f"{_LINE_ENDS.sub(' ', caption)}\n" for caption in captions)
        try:
            done = subprocess.run(
                command, input=text.encode(errors="replace"), capture_output=True, timeout=TIME_LIMIT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"the Stanford tokeniser did not run: {error}", hint="does Java work?") from error
        lines = done.stdout.decode(errors="replace").split("\n")[:-1]
        if done.returncode or len(lines) != len(captions):
            told = done.stderr.decode(errors="replace").strip().splitlines() or ["it told nothing"]
            raise BackendError(
                f"the Stanford tokeniser gave {len(lines)} lines for {len(captions)} captions: {told[-1]}",
                hint="does Java work?",
            )
        return [penn_words(line) for line in lines]


def find_java_tools() -> JavaTools | None:
    """The tools, if `pycocoevalcap` is installed and there is a Java that runs: JAVA_HOME's, or the one on the path."""
    spec = importlib.util.find_spec(PACKAGE)
    java = _java()
    if spec is None or java is None:
        return None
    for folder in map(Path, spec.submodule_search_locations or ()):
        tools = JavaTools(
            java, folder / "tokenizer" / "stanford-corenlp-3.4.1.jar", folder / "meteor" / "meteor-1.5.jar"
        )
        table = tools.meteor.parent / "data" / "paraphrase-en.gz"
        if all(path.is_file() for path in (tools.tokeniser, tools.meteor, table)):
            return tools
    return None


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    java = (home and shutil.which("java", path=Path(home) / "bin")) or shutil.which("java")
    if java is None:
        return None
    try:  # macOS has a `java` that only says where to get one
        works = subprocess.run([java, "-version"], capture_output=True, timeout=TIME_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return java if works.returncode == 0 else None


class Meteor:
    """METEOR 1.5 for English, `-norm`, as one process that answers until the `with` block ends; words in, scores out.

    It is asked `SCORE ||| reference ||| caption` for the statistics of a pair, once, and `EVAL ||| statistics ||| …`
    for the score of each and of all together. Everything here raises BackendError if it fails or is silent too long.
    """

    def __init__(self, tools: JavaTools) -> None:
        self._command = [tools.java, *_JVM, "-jar", str(tools.meteor), "-", "-", "-stdio", "-l", "en", "-norm"]
        self._statistics: dict[tuple[str, str], str] = {}

    def __enter__(self) -> "Meteor":
        self._errors = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as error:
            self._errors.close()
            raise BackendError(f"METEOR did not start: {error}", hint="does Java work?") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def score_each(self, references: Sequence[str], captions: Sequence[str]) -> list[float]:
        """METEOR of each caption against its own reference, in [0, 1]."""
        scores: list[float] = []
        statistics = self._known(references, captions)
        for at in range(0, len(statistics), _BATCH):
            scores += self._evaluate(statistics[at : at + _BATCH])[:-1]
        return scores

    def score_all(self, references: Sequence[str], captions: Sequence[str]) -> float:
        """METEOR of all captions as one text, in [0, 1]: of the sums of their statistics, no mean. 0 for none."""
        return self._evaluate(self._known(references, captions))[-1] if captions else 0.0

    def _known(self, references: Sequence[str], captions: Sequence[str]) -> list[str]:
        pairs = list(zip(map(_field, references), map(_field, captions), strict=True))
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._statistics]
        for at in range(0, len(new), _BATCH):
            some = new[at : at + _BATCH]
            told = self._ask(
                "".join(f"SCORE ||| {reference} ||| {caption}\n" for reference, caption in some), len(some)
            )
            self._statistics.update(zip(some, told, strict=True))
        return [self._statistics[pair] for pair in pairs]

    def _evaluate(self, statistics: Sequence[str]) -> list[float]:
        """The score of each, and last that of all."""
        told = self._ask(" ||| ".join(["EVAL", *statistics]) + "\n", len(statistics) + 1)
        try:
            scores = [float(line) for line in told]
        except ValueError as error:
            raise self._failed(f"it wrote {str(error)!r}") from error
        return [score if math.isfinite(score) else 0.0 for score in scores]

    def _ask(self, text: str, answers: int) -> list[str]:
        process = self._process
        assert process.stdin and process.stdout
        watch = threading.Timer(TIME_LIMIT, process.kill)
        watch.start()
        try:
            process.stdin.write(text.encode(errors="replace"))
            process.stdin.flush()
            lines = [process.stdout.readline() for _ in range(answers)]
        except OSError as error:
            raise self._failed(str(error)) from error
        finally:
            watch.cancel()
        if not lines[-1].endswith(b"\n"):
            raise self._failed("it stopped in the middle")
        return [line.decode(errors="replace").strip() for line in lines]

    def _failed(self, why: str) -> BackendError:
        self._errors.seek(0)
        told = self._errors.read().decode(errors="replace").strip().splitlines()
        return BackendError(f"METEOR failed: {told[0] if told else why}", hint="it needs Java and 2 GB of memory")


def _field(words: str) -> str:
    return words.replace("|||", "").replace("  ", " ")
