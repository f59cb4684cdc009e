//! (room reserved)
