from pathlib import Path

import pytest

from tvu.video_llm.batch.queries import Query, queries_about, read_queries, unused
from tvu.video_llm.errors import QueriesError


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_lines_of_text_are_queries(tmp_path):
    path = put(tmp_path, "q.txt", "\ufeffa dog\r\n\n# not this\n  a cat, jumping \na dog\n")
    assert read_queries(path) == [Query("a dog"), Query("a cat, jumping")]


def test_a_table_may_say_which_video_a_query_is_about(tmp_path):
    path = put(tmp_path, "q.csv", 'video,query\na.mp4,"a ""big"" dog,\nrunning"\n,a cat\n')
    assert read_queries(path) == [Query('a "big" dog,\nrunning', "a.mp4"), Query("a cat")]
    assert read_queries(put(tmp_path, "q.tsv", "question\ta\nx, y\t1\n")) == [Query("x, y")]


def test_json_lines_may_be_annotations_of_qvhighlights(tmp_path):
    path = put(tmp_path, "q.jsonl", '{"qid": 1, "query": "a dog", "vid": "x_1.0_2.0"}\n\n{"query": "ä"}\n')
    assert read_queries(path) == [Query("a dog", "x_1.0_2.0"), Query("ä")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.txt", "\n# a\n", "holds no queries"),
        ("q.csv", "a,b\n1,2\n", "line 2 has no query"),
        ("q.csv", 'query\n"a', "is no table"),
        ("q.jsonl", '{"query": "a"}\n{', "line 2 is no JSON"),
        ("q.jsonl", '["a"]', "line 1 has no query"),
        ("q.jsonl", '{"query": 7}', "line 1 has no query"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, name, text, message):
    with pytest.raises(QueriesError, match=message):
        read_queries(put(tmp_path, name, text))


def test_a_file_that_is_no_text_or_not_there_is_told(tmp_path):
    (tmp_path / "q.txt").write_bytes(b"\xff\xfe\x00a")
    for name in ("q.txt", "gone.txt"):
        with pytest.raises(QueriesError):
            read_queries(tmp_path / name)


@pytest.mark.parametrize("name", ["", "/x/y/a b.mp4#t=1,2", "a b.mp4", "y/a b.mp4", "a b", "/x/y/a b.mp4"])
def test_a_video_is_named_by_its_path_the_end_of_it_or_its_stem(name):
    assert queries_about([Query("q", name)], "/x/y/a b.mp4#t=1,2") == ["q"]


@pytest.mark.parametrize("name", ["b.mp4", "z/a b.mp4", "/y/a b.mp4", "a", "y/a b"])
def test_another_video_is_not_meant(name):
    assert queries_about([Query("q", name)], "/x/y/a b.mp4") == []
    assert unused([Query("q", name), Query("r")], ["/x/y/a b.mp4"]) == [name]
