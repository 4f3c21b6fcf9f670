//! Protobuf's wire format: tags, numbers and bytes.

/// How a field's bytes are laid out.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

/// A field of a message.
pub(super) struct Field<'b> {
    pub number: u32,
    pub data: Data<'b>,
}

/// What a field holds.
pub(super) enum Data<'b> {
    /// A varint, or the bits of a fixed number.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'b [u8]),
}

/// The bytes are cut short or no protobuf.
pub(super) struct Broken;

/// The fields of a message, in order; ends at the first error.
pub(super) struct Fields<'b>(pub &'b [u8]);

impl<'b> Iterator for Fields<'b> {
    type Item = Result<Field<'b>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(Broken);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'b> Fields<'b> {
    fn field(&mut self) -> Option<Field<'b>> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        let data = match u8::try_from(tag & 7).ok()? {
            VARINT => Data::Number(self.varint()?),
            FIXED64 => Data::Number(u64::from_le_bytes(*self.0.split_off(..8)?.first_chunk()?)),
            FIXED32 => Data::Number(u64::from(u32::from_le_bytes(*self.0.split_off(..4)?.first_chunk()?))),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Data::Bytes(self.0.split_off(..length)?)
            }
            _ => return None,
        };
        Some(Field { number, data })
    }

    /// A number of seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.0.split_off_first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

/// Numbers without tags between them; ends at the first error.
pub(super) struct Numbers<'b>(pub &'b [u8]);

impl Iterator for Numbers<'_> {
    type Item = Result<u64, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut rest = Fields(self.0);
        let number = rest.varint().ok_or(Broken);
        self.0 = if number.is_ok() { rest.0 } else { &[] };
        Some(number)
    }
}

/// A field that holds a whole number; negative ones as two's complement of 64 bits.
pub(super) fn write_number(out: &mut Vec<u8>, number: u32, value: i64) {
    write_tag(out, number, VARINT);
    write_varint(out, value.cast_unsigned());
}

/// A field that holds a floating-point number.
pub(super) fn write_double(out: &mut Vec<u8>, number: u32, value: f64) {
    write_tag(out, number, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field that holds text, bytes or a message.
pub(super) fn write_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    write_head(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// What stands before the bytes of such a field.
pub(super) fn write_head(out: &mut Vec<u8>, number: u32, length: usize) {
    write_tag(out, number, LENGTH);
    write_varint(out, length as u64);
}

/// How many bytes [`write_head`] writes.
pub(super) fn head_size(number: u32, length: usize) -> usize {
    varint_size(u64::from(number) << 3) + varint_size(length as u64)
}

/// Puts the head of a field before everything in `out` from `start` on.
pub(super) fn enclose(out: &mut Vec<u8>, start: usize, number: u32) {
    let end = out.len();
    write_head(out, number, end - start);
    let head = out.len() - end;
    if let Some(tail) = out.get_mut(start..) {
        tail.rotate_right(head);
    }
}

fn write_tag(out: &mut Vec<u8>, number: u32, form: u8) {
    write_varint(out, u64::from(number) << 3 | u64::from(form));
}

fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits are meant")]
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 128")]
    out.push(number as u8);
}

fn varint_size(number: u64) -> usize {
    let bits = u64::BITS - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_as_long_as_it_was_counted() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3 << 20] {
            for number in [1, 15, 16, 2047, 2048] {
                let mut out = Vec::new();
                write_head(&mut out, number, length);
                assert_eq!(out.len(), head_size(number, length), "{number} {length}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = b"k".to_vec();
        enclose(&mut out, 0, 3);
        write_number(&mut out, 16, -1);
        write_double(&mut out, 2, 0.5);
        let mut read = Fields(&out).map(|field| field.ok().unwrap());
        let first = read.next().unwrap();
        assert!(first.number == 3 && matches!(first.data, Data::Bytes(b"k")));
        let second = read.next().unwrap();
        assert!(second.number == 16 && matches!(second.data, Data::Number(u64::MAX)));
        assert!(matches!(read.next().unwrap().data, Data::Number(bits) if bits == 0.5_f64.to_bits()));
    }
}
