//! Bytes over TCP, for requests that no HTTP library would send.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// Sends the bytes and reads the answer.
#[track_caller]
pub fn exchange(address: &str, bytes: &[u8]) -> RawReply {
    let mut connection = RawConnection::open(address);
    connection.send(bytes);
    connection.reply()
}

/// A request with a bearer and a body, closing the connection afterwards.
pub fn request(method: &str, target: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(method, target, token, body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The head of such a request.
pub fn head(method: &str, target: &str, token: &str, content_length: usize) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: muster.test\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/scim+json\r\n\
         content-length: {content_length}\r\n\r\n"
    )
}

/// An open connection.
#[derive(Debug)]
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects.
    #[track_caller]
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        let patience = Some(Duration::from_secs(15));
        stream.set_read_timeout(patience).expect("a timeout");
        stream.set_write_timeout(patience).expect("a timeout");
        stream.set_nodelay(true).expect("an open socket");
        Self(stream)
    }

    /// Sends bytes. A server that has heard enough may close its side, so an
    /// error is no failure: the answer tells.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).and_then(|()| self.0.flush());
    }

    /// Reads until the server closes.
    #[track_caller]
    pub fn reply(mut self) -> RawReply {
        let mut bytes = Vec::new();
        let end = self.0.read_to_end(&mut bytes);
        match RawReply::parse(&bytes) {
            Some(reply) => reply,
            None => panic!(
                "no HTTP answer ({end:?}): {:?}",
                String::from_utf8_lossy(&bytes)
            ),
        }
    }
}

/// An answer, read without a library.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReply {
    /// Of the status line.
    pub status: u16,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Chunks joined.
    pub body: Vec<u8>,
}

impl RawReply {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let (head, rest) = (bytes.get(..end)?, bytes.get(end + 4..)?);
        let head = std::str::from_utf8(head).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        let chunked = headers
            .iter()
            .any(|(n, v)| n == "transfer-encoding" && v.contains("chunked"));
        let body = if chunked { join(rest) } else { rest.to_vec() };
        // After "100 Continue" comes the answer itself.
        if status == 100 {
            return Self::parse(rest);
        }
        Some(Self {
            status,
            headers,
            body,
        })
    }

    /// The header with this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(e) => panic!("no JSON ({e}): {self:?}"),
        }
    }

    /// Asserts a SCIM error with this status and `scimType`.
    #[track_caller]
    pub fn scim_error<'a>(&self, status: u16, scim_type: impl Into<Option<&'a str>>) {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["schemas"][0], crate::scim::ERROR, "{body}");
        assert_eq!(body["status"], status.to_string(), "{body}");
        assert_eq!(body["scimType"].as_str(), scim_type.into(), "{body}");
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Joins chunks as far as they are complete.
fn join(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = rest.get(..end).and_then(|l| std::str::from_utf8(l).ok());
        let size = size.and_then(|s| usize::from_str_radix(s.trim(), 16).ok());
        let Some(size @ 1..) = size else { break };
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else {
            break;
        };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let reply = RawReply::parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        );
        let reply = reply.expect("well formed");
        assert_eq!((reply.status, reply.text().as_str()), (200, "abcde"));
    }

    #[test]
    fn half_a_head_is_no_answer() {
        assert_eq!(RawReply::parse(b"HTTP/1.1 200 OK\r\nserver"), None);
    }
}
