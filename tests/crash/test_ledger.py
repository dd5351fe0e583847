"""The ledger keeps what was written, whoever dies."""

from pathlib import Path

from tests.crash.ledger import Ended, Ledger, LedgerReader, read_ledger


def test_a_line_that_a_kill_tore_is_left_out_and_spoils_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.append(Ended(process=1, how="killed"))
    with ledger.path.open("a") as file:
        file.write('\n{"type": "Ended", "proc')
    ledger.append(Ended(process=2, how="stopped"))
    ledger.close()

    assert [line.process for line in read_ledger(ledger.path) if isinstance(line, Ended)] == [1, 2]


def test_a_reader_is_given_each_line_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    reader = LedgerReader(ledger.path)
    assert reader.read() == []
    for process in (1, 2):
        ledger.append(Ended(process=process, how="killed"))
        assert reader.read() == [Ended(process=process, how="killed")]
    ledger.close()
