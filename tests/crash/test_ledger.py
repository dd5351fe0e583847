"""The ledger keeps what was written, whoever dies."""

from pathlib import Path

from tests.crash.ledger import (
    Answered,
    Asked,
    Ended,
    Ledger,
    LedgerReader,
    Racing,
    Settled,
    read_ledger,
)


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


def test_what_is_said_while_a_disk_may_lie_is_no_evidence(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    before = Answered(token="a", invocation="inv_a", is_send=True)
    asked = Asked(token="b", target="Counter/b", handler="add", argument=None)
    after = Answered(token="c", invocation="inv_c", is_send=True)
    for line in (
        before,
        Racing(process=1),
        asked,
        Answered(token="b", invocation="inv_b", is_send=True),
        Settled(process=1),
        after,
    ):
        ledger.append(line)
    ledger.close()

    assert read_ledger(ledger.path) == [before, asked, after]
