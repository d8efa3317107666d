//! The messages of a result: its columns and its rows.

use std::io;

use bytes::{BufMut, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::data::{
    FORMAT_CODE_BINARY, FORMAT_CODE_TEXT, FieldDescription, MESSAGE_TYPE_BYTE_DATA_ROW, RowDescription,
};

use super::types;
use crate::spec::Column;

/// Whether a column is in binary form. A client chooses none (text), one form for all columns, or one for each.
pub(super) fn is_binary(formats: &[bool], column: usize) -> bool {
    match formats {
        [all] => *all,
        each => each.get(column).copied().unwrap_or(false),
    }
}

/// Writes the description of columns.
pub(super) fn describe(output: &mut BytesMut, columns: &[Column], formats: &[bool]) -> io::Result<()> {
    let fields = columns.iter().enumerate().map(|(index, column)| {
        let format = if is_binary(formats, index) {
            FORMAT_CODE_BINARY
        } else {
            FORMAT_CODE_TEXT
        };
        let name = column.name.replace('\0', "");
        FieldDescription::new(
            name,
            0,
            0,
            types::oid(column.kind),
            types::size(column.kind),
            -1,
            format,
        )
    });
    RowDescription::new(fields.collect())
        .encode(output)
        .map_err(io::Error::from)
}

/// Writes a row; the first one is 0. Its length is written last, so that its values are not copied twice.
pub(super) fn put(
    output: &mut BytesMut,
    columns: &[Column],
    formats: &[bool],
    row: u32,
    body: &[u8],
) -> io::Result<()> {
    output.put_u8(MESSAGE_TYPE_BYTE_DATA_ROW);
    let begin = output.len();
    output.put_u32(0);
    output.put_u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
    for (index, column) in columns.iter().enumerate() {
        types::put(output, column.kind, row, body, is_binary(formats, index));
    }
    let length =
        i32::try_from(output.len() - begin).map_err(|_| io::Error::other("a row is larger than 2 GiB"))?;
    output[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use pgwire::messages::{DecodeContext, PgWireBackendMessage};

    use super::*;
    use crate::spec::ColumnType;

    #[test]
    fn another_decoder_reads_the_columns_and_rows() {
        let columns = [
            Column {
                name: "id".to_owned(),
                kind: ColumnType::Int4,
            },
            Column {
                name: "name".to_owned(),
                kind: ColumnType::Text,
            },
        ];
        let mut output = BytesMut::new();
        describe(&mut output, &columns, &[true, false]).unwrap();
        put(&mut output, &columns, &[true, false], 6, b"ann").unwrap();
        let context = DecodeContext::default();
        let Ok(Some(PgWireBackendMessage::RowDescription(found))) =
            PgWireBackendMessage::decode(&mut output, &context)
        else {
            panic!("no description");
        };
        let fields: Vec<_> = found
            .fields
            .iter()
            .map(|f| (f.name.as_str(), f.type_id, f.format_code))
            .collect();
        assert_eq!(fields, [("id", 23, 1), ("name", 25, 0)]);
        let Ok(Some(PgWireBackendMessage::DataRow(row))) =
            PgWireBackendMessage::decode(&mut output, &context)
        else {
            panic!("no row");
        };
        assert_eq!(row.field_count, 2);
        assert_eq!(&row.data[..], b"\0\0\0\x04\0\0\0\x07\0\0\0\x03ann");
        assert!(output.is_empty());
    }

    #[test]
    fn one_format_is_for_all_columns() {
        assert!(!is_binary(&[], 0));
        assert!(is_binary(&[true], 7));
        assert!(is_binary(&[false, true], 1) && !is_binary(&[false, true], 2));
    }
}
