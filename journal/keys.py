"""How rows are named, and in what order they come back.

A key is a one-byte table tag, then its fields, each encoded so that bytes compare as values do:

    key       := tag field*
    text      := UTF-8 with 00 written as 00 FF, then 00 01
    u32, u64  := 4 or 8 bytes, big-endian
    id        := 16 bytes (see ``objects.identity``)
    object    := text(service) text(key)

    tag  table         fields after the tag              value
    i    invocation    id                                records.InvocationRecord
    o    outcome       id                                records.OutcomeRecord
    j    journal       id u32(index)                     an entry, see ``codec``
    l    live          id                                empty: needs an attempt at the next start
    h    turn          object                            u64(sequence) id: who holds the turn
    q    inbox         object u64(sequence)              id: who waits for the turn, or id 01: a
                                                         message that the turn under way may take
    g    lane          object u64(sequence)              id: who interrupted, and goes before inbox
    s    state         object text(field) part           u64(sequence) row, see ``values``
    u    undo          object u64(sequence) u32(index) text(field) part    see ``undo_rows``
    t    timer         u64(due ms) id u32(index)         records.TimerKind, one byte
    d    idempotency   text(service) text(key) text(handler) text(idempotency key)   id digest
    a    awakeable     id u32(index)                     empty or records.AwakeableRecord: open
    w    waiting       id                                ids of the callees it is blocked on
    p    step          id u32(index)                     records.StepRecord
    x    expiry        u64(ms) id                        empty: an outcome kept beyond its place
    n    promise       object text(name)                 records.PromiseRecord: completed
    e    promised      object text(name) id u32(index)   empty: an invocation awaits the promise
    b    signal        id text(name) u64(sequence)       records.SignalRecord: came, not awaited yet
    c    signalled     id text(name) u32(index)          empty: an invocation awaits the signal
    v    message       id u32(index)                     empty: a turn awaits a message
    y    attached      id id u32(index)                  empty: the second one awaits the first
    f    workflow      text(service) text(key)           id: the invocation of its ``run``
    k    history       object                            u64(sequence) u64(ms): see below
    r    reissue       id u32(index)                     empty: copied by a restart, not begun here
    z    remains       id                                records.RemainsRecord: to be deleted
    m    meta          text(name)                        as the owner of the name says

The history row of an object says from where on its past can be read, and when that was found: the
state as it was before that turn is not known any more. Without one, the rows themselves tell.

Text needs the escape and the terminator: without them ``("a", "b")`` and ``("ab", "")`` would be
the same row, and a scan of object ``a`` would also return object ``ab``. A tag once given is never
used for anything else. The key of a service's idempotency record is the empty text, which no
object has.
"""

from functools import lru_cache

from ..objects.identity import InvocationId, Target

INVOCATION = b"i"
OUTCOME = b"o"
JOURNAL = b"j"
LIVE = b"l"
TURN = b"h"
INBOX = b"q"
STATE = b"s"
UNDO = b"u"
TIMER = b"t"
IDEMPOTENCY = b"d"
AWAKEABLE = b"a"
WAITING = b"w"
STEP = b"p"
EXPIRY = b"x"
LANE = b"g"
PROMISE = b"n"
PROMISED = b"e"
SIGNAL = b"b"
SIGNALLED = b"c"
MESSAGE = b"v"
ATTACHED = b"y"
WORKFLOW = b"f"
HISTORY = b"k"
REISSUE = b"r"
REMAINS = b"z"
META = b"m"

_TEXT_END = b"\0\1"


def text(value: str) -> bytes:
    """``value`` so that it ends where it ends and sorts as its UTF-8 does."""
    raw = value.encode()
    if b"\0" in raw:
        raw = raw.replace(b"\0", b"\0\xff")
    return raw + _TEXT_END


# Most fields are declared by a class, so there are few of them.
_field_text = lru_cache(maxsize=1024)(text)


def split_text(data: bytes, start: int) -> tuple[str, int]:
    """The text that begins at ``start``, and where it ends."""
    end = start
    while True:
        end = data.index(b"\0", end)
        if data[end + 1] == 1:
            return data[start:end].replace(b"\0\xff", b"\0").decode(), end + 2
        end += 2


def u32(value: int) -> bytes:
    """Four bytes that sort as the number does."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Eight bytes that sort as the number does."""
    return value.to_bytes(8, "big")


def after(prefix: bytes) -> bytes:
    """The first key that no longer begins with ``prefix``, which does not end in FF."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def prefix_range(prefix: bytes) -> tuple[bytes, bytes]:
    """Start and end of a scan over the keys that begin with ``prefix``, whatever its last byte.

    Keys below a prefix that ends in FF bytes are those below its shortened successor, so the
    carry is taken; no table tag is FF, so there always is a successor.
    """
    stripped = prefix.rstrip(b"\xff")
    return prefix, after(stripped)


def object_key(service: str, key: str) -> bytes:
    """The fields that name an object inside a key."""
    if "\0" in service or "\0" in key:
        return text(service) + text(key)
    return f"{service}\0\1{key}\0\1".encode()


def invocation(invocation_id: InvocationId) -> bytes:
    """The row of an invocation that is not completed."""
    return INVOCATION + invocation_id


def outcome(invocation_id: InvocationId) -> bytes:
    """The row of a completed invocation."""
    return OUTCOME + invocation_id


def journal(invocation_id: InvocationId, index: int) -> bytes:
    """The row of one journal entry."""
    return JOURNAL + invocation_id + index.to_bytes(4, "big")


def live(invocation_id: InvocationId) -> bytes:
    """The row that exists while an invocation must be taken up again at the next start."""
    return LIVE + invocation_id


def turn(object_: bytes) -> bytes:
    """The row of who holds the turn at an object."""
    return TURN + object_


def inbox(object_: bytes, sequence: int) -> bytes:
    """The row of one who waits for the turn at an object."""
    return INBOX + object_ + sequence.to_bytes(8, "big")


def state(object_: bytes, field: str, part: bytes) -> bytes:
    """One row of a state field."""
    return STATE + object_ + _field_text(field) + part


def watched(key: bytes) -> bytes | None:
    """What a caller outside may wait for that changes with the row of this key, if anything.

    A promise's row is that by itself; of state rows it is what all those of one object begin with.
    """
    table = key[:1]
    if table == PROMISE:
        return key
    if table != STATE:
        return None
    # Within a text each 00 is followed by FF, so this is where texts end, and nothing else.
    end = key.index(_TEXT_END, key.index(_TEXT_END, 1) + 2) + 2
    return key[:end]


def undo(object_: bytes, sequence: int, index: int, field: str, part: bytes) -> bytes:
    """What a state row held before command ``index`` of the turn ``sequence``."""
    return UNDO + object_ + u64(sequence) + u32(index) + _field_text(field) + part


def undo_of_turn(object_: bytes, sequence: int) -> bytes:
    """The prefix of all undo rows of one turn."""
    return UNDO + object_ + u64(sequence)


def timer(due_ms: int, invocation_id: InvocationId, index: int) -> bytes:
    """The row of one timer; timers come back in due order."""
    return TIMER + u64(due_ms) + invocation_id + u32(index)


def idempotency(target: Target, idempotency_key: str) -> bytes:
    """The row that makes a second call with the same key the first one's duplicate."""
    return (
        IDEMPOTENCY
        + text(target.service)
        + text(target.key or "")
        + text(target.handler)
        + text(idempotency_key)
    )


def awakeable(invocation_id: InvocationId, index: int) -> bytes:
    """The row that exists while an awakeable is open."""
    return AWAKEABLE + invocation_id + u32(index)


def waiting(invocation_id: InvocationId) -> bytes:
    """The row that exists while an invocation can be moved by nothing but its callees."""
    return WAITING + invocation_id


def step(invocation_id: InvocationId, index: int) -> bytes:
    """The row of a step that was tried and has no result yet."""
    return STEP + invocation_id + u32(index)


def expiry(expires_ms: int, invocation_id: InvocationId) -> bytes:
    """The row of an outcome that retention has to look at again at ``expires_ms``."""
    return EXPIRY + u64(expires_ms) + invocation_id


def lane(object_: bytes, sequence: int) -> bytes:
    """The row of one who interrupted the turn at an object and goes next."""
    return LANE + object_ + u64(sequence)


def promise(object_: bytes, name: str) -> bytes:
    """The row of a promise that is resolved or rejected."""
    return PROMISE + object_ + text(name)


def promised(object_: bytes, name: str, invocation_id: InvocationId, index: int) -> bytes:
    """The row of a command that awaits a promise."""
    return PROMISED + object_ + text(name) + invocation_id + u32(index)


def signal(invocation_id: InvocationId, name: str, sequence: int) -> bytes:
    """The row of a signal that came before it was awaited; they come back in order."""
    return SIGNAL + invocation_id + text(name) + u64(sequence)


def signalled(invocation_id: InvocationId, name: str, index: int) -> bytes:
    """The row of a command that awaits a signal."""
    return SIGNALLED + invocation_id + text(name) + u32(index)


def message(invocation_id: InvocationId, index: int) -> bytes:
    """The row of a command that awaits a message for the turn under way."""
    return MESSAGE + invocation_id + u32(index)


def attached(invocation_id: InvocationId, waiter: InvocationId, index: int) -> bytes:
    """The row of a command of ``waiter`` that awaits the outcome of ``invocation_id``."""
    return ATTACHED + invocation_id + waiter + u32(index)


def workflow(service: str, key: str) -> bytes:
    """The row of a workflow that was started."""
    return WORKFLOW + object_key(service, key)


def history(object_: bytes) -> bytes:
    """The row of where the readable past of an object begins."""
    return HISTORY + object_


def reissue(invocation_id: InvocationId, index: int) -> bytes:
    """The row of a command that a restart copied while it was open."""
    return REISSUE + invocation_id + u32(index)


def remains(invocation_id: InvocationId) -> bytes:
    """The row that exists while rows of a journal that is forgotten are still to be deleted."""
    return REMAINS + invocation_id


def meta(name: str) -> bytes:
    """A row of the runtime's own."""
    return META + text(name)
