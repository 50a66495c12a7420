//! Bytes to tokens. What a word means depends on its place, so the lexer knows
//! no keywords.

use super::{Error, MAX_CHARACTERS};

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) offset: usize,
    pub(super) kind: Kind<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'a> {
    /// A path, an operator, a keyword or a value without quotes.
    Word(&'a str),
    /// A quoted string, unescaped.
    Text(String),
    Open,
    Close,
    OpenBracket,
    CloseBracket,
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Error> {
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        let message = format!("longer than {MAX_CHARACTERS} characters");
        return Err(Error::new(text.len(), message));
    }
    let mut tokens = Vec::new();
    let mut offset = 0;
    while let Some(c) = text.get(offset..).and_then(|rest| rest.chars().next()) {
        let (kind, length) = match c {
            ' ' | '\t' | '\r' | '\n' => {
                offset += 1;
                continue;
            }
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '[' => (Kind::OpenBracket, 1),
            ']' => (Kind::CloseBracket, 1),
            '"' => quoted(text, offset)?,
            _ => word(&text[offset..]),
        };
        tokens.push(Token { offset, kind });
        offset += length;
    }
    Ok(tokens)
}

fn word(rest: &str) -> (Kind<'_>, usize) {
    let ends = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | '(' | ')' | '[' | ']' | '"');
    let length = rest.find(ends).unwrap_or(rest.len());
    (Kind::Word(&rest[..length]), length)
}

/// A JSON string (RFC 8259 section 7). The closing quote is found here, the
/// escapes are left to the JSON reader.
fn quoted(text: &str, offset: usize) -> Result<(Kind<'static>, usize), Error> {
    let rest = &text[offset..];
    let mut escaped = false;
    let closing = rest.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    let Some(closing) = closing else {
        return Err(Error::new(offset, "unterminated string"));
    };
    let length = closing + 2;
    let value: String = serde_json::from_str(&rest[..length])
        .map_err(|_| Error::new(offset, "malformed string"))?;
    if value.contains('\0') {
        return Err(Error::new(offset, "NUL in a string"));
    }
    Ok((Kind::Text(value), length))
}
