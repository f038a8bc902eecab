"""docs/lesson.md: its Python runs as shown, only smaller, and prints lines like those that it shows."""

import re
from pathlib import Path

import torch

PAGE = (Path(__file__).parents[2] / "docs" / "lesson.md").read_text(encoding="utf-8")
SMALLER = {
    "num_steps=150, batch_size=16": "num_steps=2, batch_size=2",
    "generate(config, 100,": "generate(config, 2,",
}
NUMBER = re.compile(r"[+-]?\d\.\d{3}")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = "".join(text for language, text in BLOCK.findall(PAGE) if not language)


def test_the_page_runs_from_top_to_bottom_and_prints_what_it_shows(capsys):
    known, page = {}, PAGE
    for shown, smaller in SMALLER.items():
        assert shown in page
        page = page.replace(shown, smaller)
    for language, code in BLOCK.findall(page):
        if language == "python":
            with torch.random.fork_rng():
                exec(compile(code, "lesson.md", "exec"), known)
    assert len(NUMBER.findall(SHOWN)) > 50
    assert NUMBER.sub("#", capsys.readouterr().out) == NUMBER.sub("#", SHOWN)


def test_the_numbers_of_its_text_are_those_that_it_shows():
    named = set(NUMBER.findall(BLOCK.sub("", PAGE)))
    assert len(named) > 10
    assert named <= set(NUMBER.findall(SHOWN))


def test_its_minutes_add_up_to_a_lesson():
    minutes = [tuple(map(int, pair)) for pair in re.findall(r"^\| (\d+)-(\d+) \|", PAGE, re.MULTILINE)]
    assert [end for _, end in minutes[:-1]] == [begin for begin, _ in minutes[1:]]
    assert (minutes[0][0], minutes[-1][1]) == (0, 45)
