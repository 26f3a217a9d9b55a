//! Texts to rows: comma-separated values or JSON lines, packed or not, one row at a time.

use std::io::{BufRead, BufReader, Chain, Cursor, Read};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::BadRow;
use super::spec::Format;
use crate::base::diag::did_you_mean;
use crate::base::{Arc, Str};

/// Bytes that a line of JSON may have.
const LINE_MAX: u64 = 1 << 20;
/// How a packed file begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The bytes of a file, shared by all who read them.
#[derive(Clone, Debug)]
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A text, unpacked while it is read.
#[derive(Debug)]
enum Text {
    Plain(Cursor<Shared>),
    Packed(Box<MultiGzDecoder<Cursor<Shared>>>),
}

impl Text {
    fn of(bytes: &Arc<Vec<u8>>) -> Self {
        let cursor = Cursor::new(Shared(Arc::clone(bytes)));
        if bytes.starts_with(&GZIP) {
            Self::Packed(Box::new(MultiGzDecoder::new(cursor)))
        } else {
            Self::Plain(cursor)
        }
    }
}

impl Read for Text {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(text) => text.read(out),
            Self::Packed(text) => text.read(out),
        }
    }
}

/// Reads a table row by row.
#[derive(Debug)]
pub struct Rows {
    bytes: Arc<Vec<u8>>,
    format: Format,
    columns: Arc<[Str]>,
    reader: Reader,
    /// Rows that were taken.
    taken: u64,
    line: u64,
    values: Vec<String>,
    broken: bool,
}

#[derive(Debug)]
enum Reader {
    Csv {
        reader: Box<csv::Reader<Chain<BufReader<Text>, &'static [u8]>>>,
        record: csv::StringRecord,
        /// Lines that the library has counted when a row ends: not yet the row's own if lines end in CR and LF.
        ahead: u64,
        /// Where the columns that are read stand.
        places: Vec<usize>,
    },
    JsonLines {
        reader: BufReader<Text>,
        line: String,
    },
}

impl Clone for Rows {
    /// A reader that goes on where this one is: it reads up to there once more.
    fn clone(&self) -> Self {
        let reader = Reader::open(&self.bytes, self.format, &self.columns).map(|(reader, _)| reader);
        let mut copy = Self {
            bytes: Arc::clone(&self.bytes),
            format: self.format,
            columns: Arc::clone(&self.columns),
            // It could be opened before.
            reader: reader.unwrap_or_else(|_| Reader::nothing()),
            taken: 0,
            line: 0,
            values: vec![String::new(); self.columns.len()],
            broken: false,
        };
        while copy.taken < self.taken && copy.advance().is_some() {}
        copy
    }
}

impl Reader {
    /// Nothing to read.
    fn nothing() -> Self {
        Self::JsonLines { reader: BufReader::new(Text::of(&Arc::default())), line: String::new() }
    }

    /// A reader before the first row, and the names of all columns if the file says them.
    fn open(
        bytes: &Arc<Vec<u8>>,
        format: Format,
        columns: &[Str],
    ) -> Result<(Self, Option<Vec<String>>), BadRow> {
        let text = Text::of(bytes);
        let (delimiter, header) = match format {
            Format::JsonLines => {
                return Ok((Self::JsonLines { reader: BufReader::new(text), line: String::new() }, None));
            }
            Format::Csv { delimiter, header } => (delimiter, header),
        };
        let mut text = BufReader::new(text);
        // What is wrong with a packed file shows when it is read.
        let first = text.fill_buf().unwrap_or_default();
        let end = first.iter().position(|byte| *byte == b'\n');
        let ends_in_two = end.is_some_and(|end| first[..end].ends_with(b"\r"));
        // So that the last line ends like the others.
        let (newline, ahead): (&[u8], u64) = if ends_in_two { (b"\r\n", 0) } else { (b"\n", 1) };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(header)
            .comment(Some(b'#'))
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.chain(newline));
        let mut known = None;
        let mut places = Vec::with_capacity(columns.len());
        if header {
            let names: Vec<String> = match reader.headers() {
                // Some programs begin a text with a mark of its byte order.
                Ok(names) => {
                    names.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect()
                }
                Err(error) => return Err(of_csv(&error, 1)),
            };
            for column in columns {
                match names.iter().position(|name| name == column.as_str()) {
                    Some(place) => places.push(place),
                    None => return Err(no_column(column, &names)),
                }
            }
            known = Some(names);
        } else {
            for column in columns {
                match column.parse::<usize>().ok().filter(|n| *n > 0) {
                    Some(number) => places.push(number - 1),
                    None => {
                        return Err(BadRow {
                            line: 1,
                            column: Some(column.clone()),
                            message: format!("`{column}` is no number of a column"),
                            help: "without a header columns are called `\"1\"`, `\"2\"` and so on".to_owned(),
                        });
                    }
                }
            }
        }
        let record = csv::StringRecord::new();
        Ok((Self::Csv { reader: Box::new(reader), record, ahead, places }, known))
    }
}

fn no_column(column: &Str, names: &[String]) -> BadRow {
    let help = match did_you_mean(column, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its columns are {}", names.join(", ")),
    };
    BadRow {
        line: 1,
        column: Some(column.clone()),
        message: format!("the file has no column `{column}`"),
        help,
    }
}

fn of_csv(error: &csv::Error, line: u64) -> BadRow {
    let (message, help) = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => {
            ("the row is not text in UTF-8".to_owned(), "save the file as UTF-8".to_owned())
        }
        _ => (format!("the file cannot be read: {error}"), "is it complete?".to_owned()),
    };
    BadRow { line, column: None, message, help }
}

impl Rows {
    /// Begins to read the named columns.
    ///
    /// # Errors
    /// The file cannot be read, or lacks a column.
    pub fn open(bytes: &Arc<Vec<u8>>, format: Format, columns: &[Str]) -> Result<Self, BadRow> {
        let (reader, _) = Reader::open(bytes, format, columns)?;
        Ok(Self {
            bytes: Arc::clone(bytes),
            format,
            columns: columns.iter().cloned().collect(),
            reader,
            taken: 0,
            line: 0,
            values: vec![String::new(); columns.len()],
            broken: false,
        })
    }

    /// Goes to the next row; none after the last. After an error, the rows behind the bad one can be read, unless the
    /// text itself broke off.
    pub fn advance(&mut self) -> Option<Result<(), BadRow>> {
        if self.broken {
            return None;
        }
        let result = match &mut self.reader {
            Reader::Csv { reader, record, ahead, .. } => {
                let result = reader.read_record(record);
                self.line = reader.position().line().saturating_sub(*ahead);
                match result {
                    Ok(false) => return None,
                    Ok(true) => Ok(()),
                    Err(error) => {
                        self.broken = !matches!(error.kind(), csv::ErrorKind::Utf8 { .. });
                        Err(of_csv(&error, self.line))
                    }
                }
            }
            Reader::JsonLines { reader, line } => loop {
                line.clear();
                self.line += 1;
                match reader.by_ref().take(LINE_MAX).read_line(line) {
                    Ok(0) => return None,
                    Ok(_) if line.trim().is_empty() => {}
                    Ok(size) if size as u64 == LINE_MAX && !line.ends_with('\n') => {
                        self.broken = true;
                        break Err(bad(
                            self.line,
                            "the line is longer than a mebibyte",
                            "write an object in every line",
                        ));
                    }
                    Ok(_) => break take(line, self.line, &self.columns, &mut self.values),
                    Err(error) => {
                        self.broken = true;
                        let message = format!("the file cannot be read: {error}");
                        break Err(bad(self.line, &message, "is it complete, and text in UTF-8?"));
                    }
                }
            },
        };
        self.taken += 1;
        Some(result)
    }

    /// The line at which the present row ends, from 1 on.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// The value in a column of the present row; nothing if the row has none.
    pub fn value(&self, column: usize) -> &str {
        match &self.reader {
            Reader::Csv { record, places, .. } => {
                places.get(column).and_then(|place| record.get(*place)).unwrap_or_default()
            }
            Reader::JsonLines { .. } => self.values.get(column).map_or("", |value| value.trim()),
        }
    }

    /// The name of a column.
    pub fn name(&self, column: usize) -> Str {
        self.columns.get(column).cloned().unwrap_or_default()
    }
}

fn bad(line: u64, message: &str, help: &str) -> BadRow {
    BadRow { line, column: None, message: message.to_owned(), help: help.to_owned() }
}

/// Takes the values of the columns out of a line of JSON.
fn take(line: &str, number: u64, columns: &[Str], values: &mut [String]) -> Result<(), BadRow> {
    let example = "a line reads like `{\"arrival\": 12, \"cpu\": \"500m\"}`";
    let object: Value = serde_json::from_str(line.trim_end()).map_err(|error| {
        // The library counts lines of the text that it was given.
        let told = error.to_string();
        let what = told.split(" at line ").next().unwrap_or_default();
        bad(number, &format!("the line is not JSON: {what}, character {}", error.column()), example)
    })?;
    if !object.is_object() {
        return Err(bad(number, "the line is not a JSON object", example));
    }
    for (column, value) in columns.iter().zip(values) {
        value.clear();
        // A name with dots leads into objects inside the object.
        let found = object
            .get(column.as_str())
            .or_else(|| column.split('.').try_fold(&object, |inside, part| inside.get(part)));
        match found {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => value.push_str(text),
            Some(other) => value.push_str(&other.to_string()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Format = Format::Csv { delimiter: b',', header: true };

    fn all(format: Format, text: &[u8], columns: &[&str]) -> Vec<String> {
        let columns: Vec<Str> = columns.iter().map(|c| (*c).into()).collect();
        let mut rows = match Rows::open(&Arc::new(text.to_vec()), format, &columns) {
            Ok(rows) => rows,
            Err(bad) => return vec![format!("{} {} ({})", bad.line, bad.message, bad.help)],
        };
        let mut out = Vec::new();
        while let Some(row) = rows.advance() {
            out.push(match row {
                Ok(()) => {
                    let values: Vec<&str> = (0..columns.len()).map(|c| rows.value(c)).collect();
                    format!("{} {}", rows.line(), values.join("|"))
                }
                Err(bad) => format!("{} {}", bad.line, bad.message),
            });
        }
        out
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let text = b"\xef\xbb\xbfa, b ,c\n# said by the way\n1,\"two, too\",3\n\n4\n";
        assert_eq!(all(CSV, text, &["c", "b", "a"]), ["3 3|two, too|1", "5 ||4"]);
        assert_eq!(all(CSV, b"a\r\n# x\r\n1\r\n\r\n2", &["a"]), ["3 1", "5 2"]);
        assert_eq!(all(CSV, b"a\n\"1\n1\"\n2", &["a"]), ["3 1\n1", "4 2"]);
        assert_eq!(
            all(Format::Csv { delimiter: b'\t', header: false }, b"1\t2\n3\t4\n", &["2"]),
            ["1 2", "2 4"]
        );
        assert_eq!(
            all(CSV, b"arrival,cpu\n", &["arival"]),
            ["1 the file has no column `arival` (did you mean `arrival`?)"]
        );
    }

    #[test]
    fn lines_of_json_are_rows_too() {
        let text = b"{\"a\": 1, \"b\": {\"c\": \"x\"}}\n\n{\"a\": null}\nno\n[]\n{\"a\": true}\n";
        assert_eq!(
            all(Format::JsonLines, text, &["a", "b.c"]),
            [
                "1 1|x",
                "3 |",
                "4 the line is not JSON: expected ident, character 2",
                "5 the line is not a JSON object",
                "6 true|"
            ]
        );
    }

    #[test]
    fn packed_files_are_unpacked_and_broken_ones_told() {
        use std::io::Write;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"a\n1\n2\n").unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(all(CSV, &packed, &["a"]), ["2 1", "3 2"]);
        let told = all(CSV, &packed[..packed.len() - 9], &["a"]).join("; ");
        assert!(told.contains("cannot be read"), "{told}");
    }

    #[test]
    fn a_copy_goes_on_where_the_original_is() {
        let text = Arc::new(b"a\n1\n2\n3\n".to_vec());
        let mut rows = Rows::open(&text, CSV, &["a".into()]).unwrap();
        rows.advance();
        rows.advance();
        let mut copy = rows.clone();
        assert_eq!((copy.value(0), copy.line()), ("2", 3));
        copy.advance();
        rows.advance();
        assert_eq!((copy.value(0), rows.value(0)), ("3", "3"));
    }
}
