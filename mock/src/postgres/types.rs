//! Types of PostgreSQL: their identifiers and sizes (`pg_type.dat`), and the values that a mock gives, as text and in
//! the binary form of the `send` functions.

use bytes::{BufMut, BytesMut};

use crate::spec::ColumnType;

/// The object identifier of a type.
pub(super) fn oid(kind: ColumnType) -> u32 {
    match kind {
        ColumnType::Bool => 16,
        ColumnType::Int8 => 20,
        ColumnType::Int2 => 21,
        ColumnType::Int4 => 23,
        ColumnType::Text => 25,
        ColumnType::Json => 114,
        ColumnType::Float4 => 700,
        ColumnType::Float8 => 701,
        ColumnType::Varchar => 1043,
    }
}

/// The size of a type in bytes; -1 if it varies.
pub(super) fn size(kind: ColumnType) -> i16 {
    match kind {
        ColumnType::Bool => 1,
        ColumnType::Int2 => 2,
        ColumnType::Int4 | ColumnType::Float4 => 4,
        ColumnType::Int8 | ColumnType::Float8 => 8,
        ColumnType::Text | ColumnType::Varchar | ColumnType::Json => -1,
    }
}

/// The object identifier of a type by its name in SQL, also of types that are only sent by clients.
pub(super) fn named(name: &str) -> Option<u32> {
    Some(match name.to_ascii_lowercase().as_str() {
        "bool" | "boolean" => 16,
        "bytea" => 17,
        "int8" | "bigint" => 20,
        "int2" | "smallint" => 21,
        "int4" | "int" | "integer" => 23,
        "text" => 25,
        "json" => 114,
        "float4" | "real" => 700,
        "float8" | "double" => 701,
        "varchar" | "character" => 1043,
        "date" => 1082,
        "timestamp" => 1114,
        "timestamptz" => 1184,
        "numeric" | "decimal" => 1700,
        "uuid" => 2950,
        "jsonb" => 3802,
        _ => return None,
    })
}

/// Writes a value with its length. Text is the body. A number or a truth value is that of the body if it is one, else
/// the number of the row from 1 on, or whether that is odd.
pub(super) fn put(output: &mut BytesMut, kind: ColumnType, row: u32, body: &[u8], is_binary: bool) {
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    let number = i64::from(row) + 1;
    let integer = || text.parse().unwrap_or(number);
    let float = || text.parse().unwrap_or(number as f64);
    match kind {
        ColumnType::Bool => {
            let value = match text {
                "true" | "t" => true,
                "false" | "f" => false,
                _ => number % 2 == 1,
            };
            let written = if is_binary {
                [u8::from(value)]
            } else {
                [if value { b't' } else { b'f' }]
            };
            bytes(output, &written);
        }
        ColumnType::Int2 => {
            let value = i16::try_from(integer()).unwrap_or(i16::MAX);
            plain(output, value, &value.to_be_bytes(), is_binary);
        }
        ColumnType::Int4 => {
            let value = i32::try_from(integer()).unwrap_or(i32::MAX);
            plain(output, value, &value.to_be_bytes(), is_binary);
        }
        ColumnType::Int8 => plain(output, integer(), &integer().to_be_bytes(), is_binary),
        ColumnType::Float4 => {
            let value = float() as f32;
            plain(output, value, &value.to_be_bytes(), is_binary);
        }
        ColumnType::Float8 => plain(output, float(), &float().to_be_bytes(), is_binary),
        ColumnType::Json if body.is_empty() => bytes(output, b"null"),
        ColumnType::Text | ColumnType::Varchar | ColumnType::Json => bytes(output, body),
    }
}

fn plain(output: &mut BytesMut, value: impl std::fmt::Display, binary: &[u8], is_binary: bool) {
    if is_binary {
        bytes(output, binary);
    } else {
        bytes(output, value.to_string().as_bytes());
    }
}

fn bytes(output: &mut BytesMut, value: &[u8]) {
    // A value has at most 2 GiB in the protocol. Bodies are smaller; what would not fit is cut.
    let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
    output.put_i32(length);
    output.put_slice(&value[..length as usize]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: ColumnType, row: u32, body: &str, is_binary: bool) -> Vec<u8> {
        let mut output = BytesMut::new();
        put(&mut output, kind, row, body.as_bytes(), is_binary);
        let length = u32::from_be_bytes(*output.first_chunk().unwrap());
        assert_eq!(output.len(), 4 + length as usize);
        output[4..].to_vec()
    }

    #[test]
    fn values_are_those_of_the_body_or_of_the_row() {
        for (kind, body, text, binary) in [
            (ColumnType::Int8, "", "3", &[0, 0, 0, 0, 0, 0, 0, 3][..]),
            (
                ColumnType::Int8,
                "-2",
                "-2",
                &[255, 255, 255, 255, 255, 255, 255, 254],
            ),
            (ColumnType::Int4, "", "3", &[0, 0, 0, 3]),
            (ColumnType::Int2, "100000", "32767", &[127, 255]),
            (ColumnType::Float8, "0.5", "0.5", &[0x3f, 0xe0, 0, 0, 0, 0, 0, 0]),
            (ColumnType::Float4, "x", "3", &[0x40, 0x40, 0, 0]),
            (ColumnType::Bool, "", "t", &[1]),
            (ColumnType::Bool, "false", "f", &[0]),
            (ColumnType::Text, " a ", " a ", b" a "),
            (ColumnType::Json, "", "null", b"null"),
        ] {
            assert_eq!(value(kind, 2, body, false), text.as_bytes(), "{kind:?} {body}");
            assert_eq!(value(kind, 2, body, true), binary, "{kind:?} {body}");
            assert!(size(kind) < 0 || size(kind) as usize == binary.len());
        }
    }
}
