"""Files of every version ever written are read by today's code, field by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.archive import document
from orchestrator.archive.archive import Archive
from orchestrator.archive.document import Contents, Header
from orchestrator.archive.migrations import MIGRATIONS
from orchestrator.wire import portable
from tests.unit.archive import rich

GOLDEN = Path(__file__).parent / "golden"
EXPORTS = Path(__file__).parent / "exports"
EXPECTED = {1: rich.contents_of_version_1, 2: rich.contents}
"""What the golden file of each version was made from; a new version adds a line and a file."""


def golden(version: int) -> Path:
    return GOLDEN / f"v{version}.json"


def test_every_version_has_golden_files_and_a_step_to_the_next() -> None:
    versions = list(range(1, document.VERSION + 1))
    assert portable.VERSION == document.VERSION
    assert sorted(path.name for path in EXPORTS.iterdir()) == [golden(v).name for v in versions]
    assert sorted(path.name for path in GOLDEN.iterdir()) == [golden(v).name for v in versions]
    assert sorted(EXPECTED) == versions
    assert sorted(MIGRATIONS) == versions[:-1]


@pytest.mark.parametrize("version", sorted(EXPECTED))
def test_a_golden_file_is_read_field_by_field(version: int) -> None:
    data = golden(version).read_bytes()
    assert data.startswith(b'{"format":"jido-session","version":%d,' % version)
    header, contents = document.decode(data)
    expected = rich.header()
    for name in Header.model_fields:
        assert getattr(header, name) == getattr(expected, name), name
    body = EXPECTED[version]()
    assert len(contents.entries) == len(body.entries)
    for number, (entry, wanted) in enumerate(zip(contents.entries, body.entries, strict=True)):
        assert entry.message == wanted.message, number
        assert entry.model == wanted.model, number
    for name in Contents.model_fields:
        assert getattr(contents, name) == getattr(body, name), name


@pytest.mark.parametrize("version", sorted(EXPECTED))
async def test_a_golden_file_is_listed_and_loaded_from_the_directory(
    archive: Archive, directory: Path, version: int
) -> None:
    directory.mkdir(parents=True)
    (directory / f"{rich.SESSION_ID}.json").write_bytes(golden(version).read_bytes())
    (entry,) = await archive.listing()
    assert (entry.error, entry.name, entry.messages) == (None, rich.header().name, 5)
    assert await archive.load(rich.SESSION_ID) == (rich.header(), EXPECTED[version]())


def test_the_newest_golden_file_is_what_is_written_today() -> None:
    """A change of what is written is a new version, or this fails."""
    written = document.encode(rich.header(), rich.contents())
    assert written == golden(document.VERSION).read_bytes()
