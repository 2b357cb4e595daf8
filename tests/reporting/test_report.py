"""The report: one file that needs nothing, says what is missing, and lets no name act as markup."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.reporting.cells import HARD
from tests.reporting.runs import make_run

from archgrad.errors import InputError, RunError
from archgrad.published import published
from archgrad.reporting import summary
from archgrad.reporting.record import read_record
from archgrad.reporting.report import MOST_RUNS, write_report

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<script>document.title='hacked'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"
VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Collects words, elements and addresses, and checks that every element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [value or "" for key, value in attrs if key.endswith(("src", "href"))]
        assert not [key for key, _ in attrs if key.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every sort, and reports about them."""
    base = tmp_path_factory.mktemp("reports")
    make_run(base / "whole", epochs=4, train=3)
    make_run(base / "ended early", epochs=2, planned=9, seed=1, warnings=("The loss was not finite.",))
    hostile = make_run(base / "hostile", epochs=1, architecture=published("SNAS_AGGRESSIVE"), warnings=(HOSTILE,))
    text = (hostile / "config.yaml").read_text().replace('"darts"', '"' + HOSTILE.replace('"', '\\"') + '"')
    (hostile / "config.yaml").write_text(text)
    write_report([base / "whole"], base / "one.html")
    write_report([base / "whole", base / "ended early", base / "hostile"], base / "three.html")
    return base


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["one.html", "three.html"])
def test_the_page_needs_nothing_and_runs_nothing(folder: Path, name: str) -> None:
    found = page(folder / name)
    assert not {"script", "iframe", "object", "embed", "img", "form"} & set(found.elements)
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    text = (folder / name).read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\((?!#)", text)


def test_the_summary_has_the_figures(folder: Path) -> None:
    words = page(folder / "one.html").words
    follows = dict(zip(words, words[1:], strict=False))
    assert follows["Recipe"] == "darts" and follows["Data"] == "digits" and follows["Seed"] == "0"
    assert follows["Epochs of the search"] == "4"
    assert follows["Time of the search"] == "93.4\u202fs" and follows["Peak memory"] == "1\u202f234\u202fMB"
    assert follows["Weights in the supernet"] == "1\u202f930\u202f618"
    assert follows["Validation accuracy of the supernet"] == "97.10\u202f%"
    assert follows["Validation accuracy of the derived cell"] == "94.30\u202f%"
    assert follows["Parameters of the network"] == "185\u202f000"
    assert follows["Test accuracy"] == "98.61\u202f%"
    assert "archgrad search darts --data digits --seed 0" in words
    assert any(word.startswith("archgrad search --config ") for word in words)
    assert "Before you read on" not in words


def test_several_runs_stand_side_by_side(folder: Path) -> None:
    text = (folder / "three.html").read_text()
    row = re.search(r"<tr><th scope=\"row\">Epochs of the search</th>(.*?)</tr>", text)
    assert row and re.findall(r"<td>(.*?)</td>", row[1]) == ["4", "2 of 9", "1"]
    words = page(folder / "three.html").words
    assert words.count("Losses of the search") == 3
    assert "The loss was not finite." in words
    assert "The search has not ended; it did 2 epochs so far." in words
    assert "There is no architecture.json yet: nothing was derived." in words


def test_hostile_names_are_only_text(folder: Path) -> None:
    found = page(folder / "three.html")
    assert HOSTILE in found.words
    assert "<script" not in (folder / "three.html").read_text()


def test_the_same_bytes_in_another_process(folder: Path) -> None:
    code = "import sys; from archgrad.reporting.report import write_report; write_report(sys.argv[1:2], sys.argv[2])"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, folder / "whole", folder / "again.html"], check=True, env=environment)
    assert (folder / "again.html").read_bytes() == (folder / "one.html").read_bytes()


@pytest.mark.parametrize("kept", ["config.yaml", "log.jsonl", "architecture.json"])
def test_any_one_file_is_enough_for_a_report(folder: Path, tmp_path: Path, kept: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / kept).write_bytes((folder / "whole" / kept).read_bytes())
    words = page(write_report([run], tmp_path / "new" / "folder" / "report.html")).words
    assert "Before you read on" in words
    assert ("How it went" in words) == (kept == "log.jsonl")
    assert ("What was found" in words) == (kept == "architecture.json")
    assert ("Without config.yaml the run cannot be made again." in words) == (kept == "architecture.json")


def test_an_empty_log_and_an_unreadable_cell_still_give_a_report(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=1)
    (run / "log.jsonl").write_text("")
    (run / "architecture.json").write_text("{")
    words = " ".join(page(write_report([run], tmp_path / "report.html")).words)
    assert "nothing has happened yet" in words and "not a JSON file" in words


def test_hard_cells_are_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", epochs=1, architecture=HARD["every edge, weighted"])
    (run / "log.jsonl").unlink()
    assert page(write_report([run], tmp_path / "report.html")).words.count("normal cell") == 1


def test_words_about_collapse(tmp_path: Path) -> None:
    notes = summary.notes(read_record(make_run(tmp_path / "snas", epochs=1, architecture=published("SNAS_MILD"))))
    assert notes == []  # 4 skips of 8 are not more than half
    notes = summary.notes(read_record(make_run(tmp_path / "s", epochs=1, architecture=published("SNAS_AGGRESSIVE"))))
    assert len(notes) == 1 and notes[0].startswith("5 of the 8 operations of the normal cell are skip connections")
    notes = summary.notes(read_record(make_run(tmp_path / "e", epochs=1, architecture=HARD["no edge"])))
    assert notes == ["The normal cell is empty: no operation was kept, so it gives zeros."]


def test_commands_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    record = read_record(
        make_run(tmp_path / "my run's", epochs=1, train=1, command=["search", "--data", "csv:a b.csv"])
    )
    (_, started), (_, again), (_, train) = summary.commands(record)
    assert started == "archgrad search --data 'csv:a b.csv'"
    result = subprocess.run(["/bin/sh", "-c", f"printf '%s\n' {again}"], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[2:5:2] == ["--config", "--run"]
    assert result.stdout.splitlines()[3] == f"{tmp_path}/my run's/config.yaml"
    assert train.startswith("archgrad train ")


def test_data_without_a_name_is_said(tmp_path: Path) -> None:
    named = read_record(make_run(tmp_path / "a", epochs=1, data={"spec": "imagefolder:some/where"}))
    given = read_record(make_run(tmp_path / "b", epochs=1, data={"spec": "given in memory"}))
    assert summary.data_is_named(named) and not summary.data_is_named(given)
    (tmp_path / "b" / "log.jsonl").unlink()  # drawing curves would only take time
    assert "handed over in memory" in write_report([tmp_path / "b"], tmp_path / "b.html").read_text()


def test_no_run_too_many_and_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(InputError, match=f"up to {MOST_RUNS}"):
        write_report([tmp_path / str(k) for k in range(MOST_RUNS + 1)], tmp_path / "report.html")
    with pytest.raises(InputError, match="does not exist"):
        write_report([tmp_path / "nowhere"], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    run = make_run(tmp_path / "run", epochs=1)
    (run / "log.jsonl").unlink()
    for target in (tmp_path, tmp_path / "file" / "report.html"):
        with pytest.raises(RunError, match="could not be written"):
            write_report([run], target)
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_complaint(folder: Path, tmp_path: Path, scheme: str) -> None:
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    quiet += ["--disable-sync", "--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={tmp_path}/profile"]
    quiet += ["--force-dark-mode"] if scheme == "dark" else []
    picture = tmp_path / "page.png"
    wanted = ["--dump-dom"] if scheme == "light" else [f"--screenshot={picture}", "--window-size=1300,2400"]
    result = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *quiet, *wanted, (folder / "three.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    complaints = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    if scheme == "light":
        assert "hacked" not in re.findall(r"<title>(.*?)</title>", result.stdout)[0]
        assert result.stdout.count("<svg") == (folder / "three.html").read_text().count("<svg")
    else:
        from PIL import Image

        with Image.open(picture) as image:
            assert image.size == (1300, 2400)
            assert max(image.convert("L").crop((0, 0, 9, 9)).tobytes()) < 40  # the page is dark where nothing stands
            assert len(image.convert("RGB").quantize(64).getcolors() or []) > 10
