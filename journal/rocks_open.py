"""How a RocksDB becomes an open store that may be trusted: the start sequence.

    start := drop the ballast if the disk is full
             follow the log by sequence numbers                      ``log_files``
             replay it read-only, checksums and all
             refuse if either ends below the tide mark               nothing has changed so far
             cut the log at a hole above the tide mark
             open for writing, and check the tide mark again
             make all of it durable, if it is new or was copied here   ``copied``
             count the epoch, durably

What was measured, and why the settings are what they are, is in ``STORE.md``.
"""

import contextlib
import logging
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    MemtableFactory,
    Options,
    Rdict,
)

from ..objects.errors import (
    StoreDamagedError,
    StoreFailedError,
    StoreFullError,
    StoreLockedError,
)
from .copied import make_copy_durable
from .data_directory import DataDirectory
from .log_files import cut_at_hole, find_needed_logs, inspect_logs, manifest_path
from .log_records import read_shape
from .rocks_reading import DAMAGE_SIGNS

logger = logging.getLogger(__name__)

MIB = 1 << 20


def open_database(directory: DataDirectory, memtable_bytes: int, block_cache_bytes: int) -> Rdict:
    """Check the database in ``directory``, open it, and count the epoch.

    Raises:
        StoreDamagedError: it holds less than was acknowledged. The rows are untouched.
        StoreFullError: no space left to open it.
        StoreLockedError: RocksDB finds it open elsewhere.
        StoreFailedError: it cannot be opened for another reason, which the message names.
    """
    directory.ballast.drop_if_full()
    # Only a directory that was never opened may lack a database: anywhere else a missing one is
    # a loss, and to make an empty one in its place would hide it.
    is_new = directory.tide.epoch == 0
    if not is_new or (directory.database / "CURRENT").exists():
        _check(directory)
    options = _options(memtable_bytes, block_cache_bytes)
    options.create_if_missing(is_new)
    db = _open(directory, options, AccessType.read_write())
    try:
        _check_shortfall(directory, db.latest_sequence_number(), directory.database)
        # RocksDB makes its own files durable, and not the name of the directory that they are in.
        make_copy_durable(directory.path, directory.database, is_new=is_new)
        directory.tide.record(directory.tide.sequence, epoch=_next_epoch(directory, db))
    except BaseException:
        let_go(directory, db)
        raise
    return db


def let_go(directory: DataDirectory, db: Rdict) -> None:
    """Close it, whatever it says: the caller is told why it is closed.

    A disk that has just failed fails again, for RocksDB syncs as it closes. Nothing was written
    that anybody relies on.
    """
    try:
        try:
            # Else it writes a table first, and sleeps for a second where that fails.
            db.cancel_all_background(wait=False)
        finally:
            db.close()
    except Exception:
        logger.debug("closing RocksDB in %s", directory.path, exc_info=True)


def _check(directory: DataDirectory) -> None:
    """Refuse a database that holds less than the tide mark; heal the one thing that is no loss."""
    report = inspect_logs(directory.database)
    _check_shortfall(directory, report.last_sequence, report.ends_in)
    _check_shortfall(directory, _replay_read_only(directory), report.ends_in)
    if report.hole is not None:
        logger.warning(
            "%s. The tide mark is at %d, so what follows was never acknowledged and is removed",
            report.hole,
            directory.tide.sequence,
        )
        cut_at_hole(report)


def _replay_read_only(directory: DataDirectory) -> int:
    """How far RocksDB would recover. It checks every checksum of the log and changes nothing.

    Into vectors, not skip lists: nobody reads the rows, and sorting them is four fifths of the
    time a replay takes.
    """
    options = Options(raw_mode=True)
    options.create_if_missing(create_if_missing=False)
    options.set_paranoid_checks(enabled=True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_max_open_files(64)
    options.set_allow_concurrent_memtable_write(allow=False)
    options.set_memtable_factory(MemtableFactory.vector())
    options.set_write_buffer_size(1 << 30)
    db = _open(directory, options, AccessType.read_only(error_if_log_file_exist=False))
    sequence = db.latest_sequence_number()
    db.close()
    return sequence


def _options(memtable_bytes: int, block_cache_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.set_paranoid_checks(enabled=True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_recycle_log_file_num(0)
    options.set_write_buffer_size(memtable_bytes)
    options.set_max_write_buffer_number(4)
    # A stalled write stalls the event loop with the interpreter lock held, so the brakes are set
    # far behind the point where compaction begins.
    options.set_level_zero_file_num_compaction_trigger(4)
    options.set_level_zero_slowdown_writes_trigger(40)
    options.set_level_zero_stop_writes_trigger(80)
    options.set_max_background_jobs(2)
    options.set_bytes_per_sync(MIB)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_level_compaction_dynamic_level_bytes(v=True)
    options.set_max_open_files(256)
    options.set_skip_stats_update_on_db_open(skip=True)
    # The manifest is read by ``log_files`` at every start, and the info log is nobody's archive.
    options.set_max_manifest_file_size(MIB)
    options.set_max_log_file_size(MIB)
    options.set_keep_log_file_num(3)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(block_cache_bytes))
    # Absent keys are asked for all the time: has this call been seen before?
    blocks.set_bloom_filter(10, block_based=False)
    blocks.set_cache_index_and_filter_blocks(v=True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(v=True)
    # In small parts: a filter in one piece grows with its file beyond what a shard of the cache
    # keeps, and is then read from the disk, megabytes of it, at each question.
    blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    blocks.set_metadata_block_size(4_096)
    blocks.set_pin_top_level_index_and_filter(True)
    options.set_block_based_table_factory(blocks)
    return options


def _open(directory: DataDirectory, options: Options, access: AccessType) -> Rdict:
    """Open RocksDB, with every refusal as a sentence."""
    # The options are given twice. Once a database exists, rocksdict otherwise takes those of the
    # column family, memtable and filters among them, from the file of the last start.
    families = {"default": options}
    try:
        return Rdict(str(directory.database), options, families, access)
    except Exception as cause:
        text = str(cause)
        message = f"{directory.path} cannot be opened: {text}"
        if "No space left" in text or "quota exceeded" in text:
            message += "; free some space and start again"
            raise StoreFullError(message) from cause
        if "lock hold by current process" in text or "While lock file" in text:
            raise StoreLockedError(message) from cause
        if any(sign in text for sign in DAMAGE_SIGNS):
            message += _acquit_manifest(directory, text)
            raise StoreDamagedError(message) from cause
        raise StoreFailedError(message) from cause


def _suspect(directory: DataDirectory, end: Path) -> str:
    """Where to look. It reads with all checksums, slowly: the start is refused anyway."""
    with contextlib.suppress(OSError, StoreDamagedError):
        manifest = manifest_path(directory.database)
        for file in (manifest, *find_needed_logs(directory.database)):
            if not read_shape(file.read_bytes()).is_whole:
                return str(file)
        return f"{end}: what is there is whole, so a *.log is missing, or the end of {manifest}"
    return str(end)


def _acquit_manifest(directory: DataDirectory, text: str) -> str:
    """RocksDB suspects the manifest where it should suspect a table, and names no table then."""
    if "MANIFEST-" not in text or ".sst" in text:
        return ""
    with contextlib.suppress(OSError, StoreDamagedError):
        if read_shape(manifest_path(directory.database).read_bytes()).is_whole:
            return " But its checksums are right, so it is one of the tables, *.sst, that it lists."
    return ""


def _next_epoch(directory: DataDirectory, db: Rdict) -> int:
    epoch = directory.tide.epoch
    # Rows where nobody was yet: the slot that counted the first start is wiped out.
    return epoch + 2 if epoch == 0 and db.latest_sequence_number() else epoch + 1


def _check_shortfall(directory: DataDirectory, found: int, file: Path) -> None:
    if found >= directory.tide.sequence:
        return
    message = (
        f"{directory.path} has lost acknowledged data: it recovers to sequence number {found}, and "
        f"everything up to {directory.tide.sequence} was durable. Look at "
        f"{_suspect(directory, file)}; restore a backup, or keep the directory as it is and ask "
        "for help"
    )
    raise StoreDamagedError(message)
