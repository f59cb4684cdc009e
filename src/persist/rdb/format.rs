//! The RDB file, byte by byte. Confirmed by experiment on Redis 7.0.15, Redis 8.2.3 and Valkey 9.1.2; no upstream code read.
//!
//! | offset | size | what                                                                                              |
//! |--------|------|---------------------------------------------------------------------------------------------------|
//! | 0      | 5    | `REDIS` (then 4 ASCII digits of version) or `VALKEY` (6 bytes, then 3 digits)                     |
//! | 5 or 6 | 4, 3 | version, decimal: `0010`, `0012`, `080`                                                           |
//! | 9      | ...  | records: an opcode byte (table below), or `[expire] [idle or freq] type key value`                |
//! | end-9  | 1    | 0xFF                                                                                              |
//! | end-8  | 8    | CRC-64 Jones of all bytes before it, little endian; absent before version 5; zero = not computed |
//!
//! | opcode | followed by                                                                                              |
//! |--------|----------------------------------------------------------------------------------------------------------|
//! | 0xF3   | slot import job (Valkey 9, only while a slot migration runs; refused)                                    |
//! | 0xF4   | slot info (Redis 8 cluster): len slot, len keys, len keys with expire                                    |
//! | 0xF5   | function library: string, its source                                                                     |
//! | 0xF6   | function library of 7.0 release candidates (refused, as upstream does)                                   |
//! | 0xF7   | module aux data: len module id, len opcode, len when, then module values (below) up to a zero            |
//! | 0xF8   | idle time of the next key, len, seconds                                                                  |
//! | 0xF9   | LFU counter of the next key, one byte                                                                    |
//! | 0xFA   | aux field: string name, string value; unknown names are ignored                                          |
//! | 0xFB   | resize hint: len keys, len keys with expire                                                              |
//! | 0xFC   | expire of the next key, i64 little endian, milliseconds since 1970                                       |
//! | 0xFD   | expire of the next key, i32 little endian, seconds since 1970                                            |
//! | 0xFE   | select database: len                                                                                     |
//! | 0xFF   | end                                                                                                      |
//!
//! **Length** (`len`), by the two top bits of the first byte:
//!
//! | first byte   | total bytes | value                                                                                |
//! |--------------|-------------|--------------------------------------------------------------------------------------|
//! | `00xxxxxx`   | 1           | the 6 bits                                                                           |
//! | `01xxxxxx`   | 2           | 14 bits, big endian                                                                  |
//! | `10000000`   | 5           | 32 bits, big endian                                                                  |
//! | `10000001`   | 9           | 64 bits, big endian                                                                  |
//! | `11......`   | 1           | not a length: a string in special encoding: 0 int8, 1 int16, 2 int32 (little endian), 3 LZF |
//!
//! **String**: `len` bytes; or 0xC0/0xC1/0xC2 and an integer, standing for its decimal text; or 0xC3, len compressed,
//! len original, LZF data. Texts up to 11 bytes that are canonical 32-bit integers are written as integers, texts above
//! 20 bytes are tried with LZF and kept if that saves more than 4 bytes.
//!
//! **Old double** (type 3 only): one length byte then text; 253 NaN, 254 +inf, 255 -inf. **Double**: 8 bytes little endian.
//!
//! **Values by type byte** (the version is the first that knows it):
//!
//! | type | name in the check tool        | since | body                                                                                      |
//! |------|-------------------------------|-------|-------------------------------------------------------------------------------------------|
//! | 0    | string                        | 1     | string                                                                                    |
//! | 1    | list-linked                   | 1     | len n, n strings                                                                          |
//! | 2    | set-hashtable                 | 1     | len n, n strings                                                                          |
//! | 3    | zset-v1                       | 1     | len n, n times string member, old double                                                  |
//! | 4    | hash-hashtable                | 2     | len n, n times string field, string value                                                 |
//! | 5    | zset-v2                       | 8     | len n, n times string member, double                                                      |
//! | 6    | module-pre-release            | 8     | refused                                                                                   |
//! | 7    | module-value                  | 8     | len module id, module values up to a zero                                                 |
//! | 9    | hash-zipmap                   | 2     | string: zipmap                                                                            |
//! | 10   | list-ziplist                  | 4     | string: ziplist                                                                           |
//! | 11   | set-intset                    | 4     | string: intset                                                                            |
//! | 12   | zset-ziplist                  | 4     | string: ziplist of member, score                                                          |
//! | 13   | hash-ziplist                  | 4     | string: ziplist of field, value                                                           |
//! | 14   | quicklist                     | 7     | len n, n strings: ziplists                                                                |
//! | 15   | stream                        | 9     | see `stream`                                                                              |
//! | 16   | hash-listpack                 | 10    | string: listpack of field, value                                                          |
//! | 17   | zset-listpack                 | 10    | string: listpack of member, score                                                         |
//! | 18   | quicklist-v2                  | 10    | len n, n times len container (1 plain, 2 packed), string: element or listpack             |
//! | 19   | stream-v2                     | 10    | see `stream`                                                                              |
//! | 20   | set-listpack                  | 11    | string: listpack of members                                                               |
//! | 21   | stream-v3                     | 11    | see `stream`                                                                              |
//! | 22   | hash-hashtable-md-pre-release | 12    | len n, n times len expire ms (0 none), string field, string value                         |
//! | 22   | hash-volatile-items (Valkey)  | 80    | len n, n times string field, string value, i64 little endian expire ms (-1 none)          |
//! | 23   | hash-listpack-md-pre-release  | 12    | string: listpack of field, value, expire ms (0 none)                                      |
//! | 24   | hash-hashtable-md             | 12    | i64 little endian m, len n, n times len (0 none, else expire ms - m + 1), string, string  |
//! | 25   | hash-listpack-md              | 12    | i64 little endian m (smallest expire), string: listpack as 23, ordered by expire, none last |
//!
//! **Module values**: len kind, then 1 signed len, 2 unsigned len, 3 float (4 bytes), 4 double (8 bytes), 5 string; 0 ends.
//!
//! **Who reads what** (measured): 7.0.15 reads `REDIS` up to 10; 8.2.3 up to 12; Valkey 9.1.2 `REDIS` up to 11 and `VALKEY`
//! 80. So a file is written with the lowest version that can hold what is in it: 9 without listpacks, 10 with them, 11 with
//! stream consumers whose activity differs from their last visit, 12 with field expirations.

/// Newest `REDIS` version this code reads, and the one stamped on DUMP payloads (as 8.2.3 does).
pub const RDB_VERSION: u16 = 12;
/// The version of Valkey's own files and payloads.
pub const RDB_VERSION_VALKEY: u16 = 80;
/// Lowest version the encoder writes.
pub const RDB_VERSION_LOWEST: u16 = 9;
/// Bytes of magic and version at the start of a file.
pub const HEADER_LEN: usize = 9;

/// How many bytes [`begins_rdb`] wants to see.
pub const MAGIC_SEEN: usize = 5;

/// Whether a file that begins with these bytes is an RDB file: of Redis, or of Valkey from 9 on.
pub fn begins_rdb(head: &[u8]) -> bool {
    head == b"REDIS" || head == b"VALKE"
}

/// Is `version` one of those this code can read, given which magic the file (or `None`, a DUMP payload) carries?
pub fn readable_version(version: u16, valkey: Option<bool>) -> bool {
    let redis_ok = (1..=RDB_VERSION).contains(&version);
    match valkey {
        Some(true) => version == RDB_VERSION_VALKEY,
        Some(false) => redis_ok,
        None => redis_ok || version == RDB_VERSION_VALKEY,
    }
}

/// Opcode bytes; see the table above.
#[allow(missing_docs)]
pub mod op {
    pub const SLOT_IMPORT: u8 = 0xF3;
    pub const SLOT_INFO: u8 = 0xF4;
    pub const FUNCTION2: u8 = 0xF5;
    pub const FUNCTION_PRE_GA: u8 = 0xF6;
    pub const MODULE_AUX: u8 = 0xF7;
    pub const IDLE: u8 = 0xF8;
    pub const FREQ: u8 = 0xF9;
    pub const AUX: u8 = 0xFA;
    pub const RESIZE_DB: u8 = 0xFB;
    pub const EXPIRE_MS: u8 = 0xFC;
    pub const EXPIRE_S: u8 = 0xFD;
    pub const SELECT_DB: u8 = 0xFE;
    pub const EOF: u8 = 0xFF;
}

/// Special string encodings: the low six bits behind `11`.
#[allow(missing_docs)]
pub mod enc {
    pub const INT8: u8 = 0;
    pub const INT16: u8 = 1;
    pub const INT32: u8 = 2;
    pub const LZF: u8 = 3;
}

/// Kinds of values inside module data.
#[allow(missing_docs)]
pub mod module_kind {
    pub const EOF: u64 = 0;
    pub const SINT: u64 = 1;
    pub const UINT: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

/// Container kinds of a quicklist-v2 node.
pub const NODE_PLAIN: u64 = 1;
/// See `NODE_PLAIN`.
pub const NODE_PACKED: u64 = 2;

macro_rules! rdb_types {
    ($($name:ident = $byte:literal, $since:literal, $label:literal;)*) => {
        /// A value's type byte.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum RdbType { $($name = $byte),* }
        /// Every known type.
        pub const RDB_TYPES: &[RdbType] = &[$(RdbType::$name),*];
        impl RdbType {
            /// The type of a byte, if there is one.
            pub fn from_byte(byte: u8) -> Option<RdbType> {
                match byte { $($byte => Some(RdbType::$name),)* _ => None }
            }
            /// First RDB version that knows the type (type 22 also exists, otherwise laid out, in Valkey's 80).
            pub fn since(self) -> u16 {
                match self { $(RdbType::$name => $since),* }
            }
            /// The name the check tool prints.
            pub fn label(self) -> &'static str {
                match self { $(RdbType::$name => $label),* }
            }
        }
    };
}

rdb_types! {
    String = 0, 1, "string";
    List = 1, 1, "list-linked";
    Set = 2, 1, "set-hashtable";
    Zset = 3, 1, "zset-v1";
    Hash = 4, 2, "hash-hashtable";
    Zset2 = 5, 8, "zset-v2";
    ModulePreGa = 6, 8, "module-pre-release";
    Module2 = 7, 8, "module-value";
    HashZipmap = 9, 2, "hash-zipmap";
    ListZiplist = 10, 4, "list-ziplist";
    SetIntset = 11, 4, "set-intset";
    ZsetZiplist = 12, 4, "zset-ziplist";
    HashZiplist = 13, 4, "hash-ziplist";
    Quicklist = 14, 7, "quicklist";
    Stream = 15, 9, "stream";
    HashListpack = 16, 10, "hash-listpack";
    ZsetListpack = 17, 10, "zset-listpack";
    Quicklist2 = 18, 10, "quicklist-v2";
    Stream2 = 19, 10, "stream-v2";
    SetListpack = 20, 11, "set-listpack";
    Stream3 = 21, 11, "stream-v3";
    HashTtlPreGa = 22, 12, "hash-hashtable-md-pre-release";
    HashListpackTtlPreGa = 23, 12, "hash-listpack-md-pre-release";
    HashTtl = 24, 12, "hash-hashtable-md";
    HashListpackTtl = 25, 12, "hash-listpack-md";
}

/// The nine characters of a module type behind its 64-bit id (6 bits each, the low 10 bits are the module's own version).
pub fn module_type_name(id: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9)
        .map(|i| ALPHABET[((id >> (58 - 6 * i)) & 63) as usize] as char)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_byte_maps_back() {
        for &ty in RDB_TYPES {
            assert_eq!(RdbType::from_byte(ty as u8), Some(ty));
            assert!(ty.since() <= RDB_VERSION);
        }
        for byte in [8, 26, 27, 100, 255] {
            assert_eq!(RdbType::from_byte(byte), None);
        }
    }

    #[test]
    fn module_names_as_printed_by_8_2_3() {
        assert_eq!(module_type_name(0x0102030405060708), "AQIDBAUGB");
    }
}
