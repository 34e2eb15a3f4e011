"""XML of editing programs: elements with text, and a document with its declaration and comments."""

from xml.etree import ElementTree as Tree

from tvu.video_llm.results.one_video import Content, OneVideo


def add(parent: Tree.Element, tag: str, text: object = None, /, **attributes: str) -> Tree.Element:
    """A new last child of `parent`; `text` is escaped when it is written."""
    child = Tree.SubElement(parent, tag, attributes)
    if text is not None:
        child.text = str(text)
    return child


def as_content(root: Tree.Element, doctype: str, video: OneVideo) -> Content:
    """The document in UTF-8 with LF line ends; in front, in comments, what has no answer and why."""
    Tree.indent(root)
    comments = "".join(f"<!-- no answer: {_comment(error)} -->\n" for error in video.errors)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {doctype}>\n{comments}'
    return Content(f"{head}{Tree.tostring(root, 'unicode')}\n".encode(), video.errors)


def _comment(text: str) -> str:
    """`text` without the two hyphens that end a comment."""
    return text.replace("-", "\u2010") if "--" in text else text
