"""All parts of the proof, in the order in which they run and are reported."""

from tests.proof.parts import Part

PARTS: tuple[Part, ...] = ()
