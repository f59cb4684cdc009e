//! What Redis changed between 7.0 and 8.2: differences to a 7.0 reference that are right, each with its reason.
//!
//! We follow 8.2. Established by running this test with 8.2.3 in our place: `REDSTART_IT_BIN=$(command -v redis-8.2.3) REFERENCE_SERVER=redis-server`.

use crate::compare::Asked;
use crate::harness::Reply;

/// Why a reply may differ from that of a reference of this version, if it may.
pub fn reply(
    _asked: &Asked,
    _ours: &Reply,
    _theirs: &Reply,
    _reference: (u32, u32),
) -> Option<&'static str> {
    None
}

/// Whether the encodings may differ.
pub fn encoding(_ours: Option<&[u8]>, _theirs: Option<&[u8]>, _reference: (u32, u32)) -> bool {
    false
}
