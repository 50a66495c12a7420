//! Puts an id into the options of a write, without decoding what it says.
//!
//! A message that stands twice in another is merged: what the second one has
//! counts. So the id is appended as options of its own, and what the caller set
//! stays.

use prost::{
    Message as _,
    bytes::{Buf as _, BufMut as _, Bytes, BytesMut},
    encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field},
};

use muster_proto::v1::WriteOptions;

/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The framed request with an id in this field, its own if it has one; as it is when it
/// is no single plain message.
pub(super) fn attach(framed: &Bytes, field: u32, id: &str) -> Bytes {
    with_id(framed, field, id).unwrap_or_else(|| framed.clone())
}

fn with_id(framed: &Bytes, field: u32, id: &str) -> Option<Bytes> {
    let mut head = framed.get(..PREFIX)?;
    let plain = head.get_u8() == 0;
    let message = framed.slice(PREFIX..);
    let whole = usize::try_from(head.get_u32()).ok()? == message.len();
    if !plain || !whole || has_id(message.clone(), field)? {
        return None;
    }
    let options = WriteOptions {
        request_id: id.to_owned(),
        ..Default::default()
    };
    let options = options.encode_to_vec();
    let mut out = BytesMut::with_capacity(framed.len() + options.len() + PREFIX + 10);
    out.put_slice(&[0; PREFIX]);
    out.put_slice(&message);
    encode_key(field, WireType::LengthDelimited, &mut out);
    encode_varint(options.len() as u64, &mut out);
    out.put_slice(&options);
    let length = u32::try_from(out.len() - PREFIX).ok()?;
    out.get_mut(1..PREFIX)?
        .copy_from_slice(&length.to_be_bytes());
    Some(out.freeze())
}

/// Whether the message's options have an id; `None` for what is no message.
fn has_id(mut message: Bytes, field: u32) -> Option<bool> {
    let mut options = WriteOptions::default();
    while message.has_remaining() {
        let (number, wire) = decode_key(&mut message).ok()?;
        if number == field && wire == WireType::LengthDelimited {
            options.merge_length_delimited(&mut message).ok()?;
        } else {
            skip_field(wire, number, &mut message, DecodeContext::default()).ok()?;
        }
    }
    Some(!options.request_id.is_empty())
}

#[cfg(test)]
mod tests {
    use muster_proto::v1::LockUserRequest;

    use super::*;

    fn framed(request: &LockUserRequest) -> Bytes {
        let message = request.encode_to_vec();
        let mut out = BytesMut::new();
        out.put_u8(0);
        out.put_u32(u32::try_from(message.len()).unwrap());
        out.put_slice(&message);
        out.freeze()
    }

    fn attached(options: Option<WriteOptions>) -> LockUserRequest {
        let request = LockUserRequest {
            id: "u".to_owned(),
            reason: "left".to_owned(),
            options,
        };
        let out = attach(&framed(&request), 3, "new");
        let length = u32::from_be_bytes(out[1..5].try_into().unwrap());
        assert_eq!(length as usize, out.len() - PREFIX);
        let read = LockUserRequest::decode(out.slice(PREFIX..)).unwrap();
        assert_eq!((&read.id, &read.reason), (&request.id, &request.reason));
        read
    }

    #[test]
    fn a_write_gets_an_id_and_keeps_its_own() {
        let id = |request: LockUserRequest| request.options.unwrap();
        assert_eq!(id(attached(None)).request_id, "new");
        let guarded = WriteOptions {
            if_match: "\"x\"".to_owned(),
            ..Default::default()
        };
        let kept = id(attached(Some(guarded.clone())));
        assert_eq!(
            (kept.request_id.as_str(), kept.if_match),
            ("new", guarded.if_match)
        );
        let own = WriteOptions {
            request_id: "own".to_owned(),
            ..Default::default()
        };
        assert_eq!(id(attached(Some(own))).request_id, "own");
    }

    #[test]
    fn what_is_no_message_stays_as_it_is() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\0\0\0\x05ab",
            b"\x01\0\0\0\0",
            b"\0\0\0\0\x01\xff",
        ] {
            let bytes = Bytes::copy_from_slice(bytes);
            assert_eq!(attach(&bytes, 3, "new"), bytes);
        }
    }
}
