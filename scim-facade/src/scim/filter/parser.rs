//! Tokens to a tree, by recursive descent. Recursion is bounded: every nesting
//! passes through [`Parser::nested`].

use super::{
    super::{
        flavor::{Accent, Accents},
        path::{PatchPath, Path},
    },
    Error, Filter, Literal, MAX_DEPTH, MAX_NODES, Operator,
    lexer::{Kind, Token, tokens},
};

/// Reads a filter.
///
/// ```
/// use scim_facade::scim::{filter, flavor::Flavor};
/// let strict = Flavor::Strict.accents();
/// let tree = filter::parse(r#"userName eq "ada" and not (active eq false)"#, strict)?;
/// assert_eq!(tree.to_string(), r#"userName eq "ada" and not (active eq false)"#);
/// assert_eq!(filter::parse("userName eq", strict).unwrap_err().offset, 11);
/// # Ok::<(), filter::Error>(())
/// ```
///
/// # Errors
/// What was expected and where, or which limit was met.
pub fn parse(text: &str, accents: Accents<'_>) -> Result<Filter, Error> {
    let mut parser = Parser::new(text, accents)?;
    let filter = parser.or_expr()?;
    parser.end()?;
    if filter.depth() > MAX_DEPTH {
        return Err(Error::new(0, format!("more than {MAX_DEPTH} levels")));
    }
    Ok(filter)
}

/// Reads the path of a PATCH operation (RFC 7644 section 3.5.2).
///
/// # Errors
/// As [`parse`].
pub fn parse_path(text: &str, accents: Accents<'_>) -> Result<PatchPath, Error> {
    let mut parser = Parser::new(text, accents)?;
    let offset = parser.offset();
    let path = parser.path()?;
    let filter = parser.brackets(&path, offset)?;
    let sub_attribute = match filter {
        Some(_) => parser.suffix()?,
        None => None,
    };
    parser.end()?;
    Ok(PatchPath {
        path,
        filter,
        sub_attribute,
    })
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    accents: Accents<'a>,
    next: usize,
    length: usize,
    nestings: usize,
    nodes: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, accents: Accents<'a>) -> Result<Self, Error> {
        Ok(Self {
            tokens: tokens(text)?,
            accents,
            next: 0,
            length: text.len(),
            nestings: 0,
            nodes: 0,
        })
    }

    fn or_expr(&mut self) -> Result<Filter, Error> {
        let mut filters = vec![self.and_expr()?];
        while self.take_word("or") {
            filters.push(self.and_expr()?);
        }
        self.join(filters, Filter::Or)
    }

    fn and_expr(&mut self) -> Result<Filter, Error> {
        let mut filters = vec![self.operand()?];
        while self.take_word("and") {
            filters.push(self.operand()?);
        }
        self.join(filters, Filter::And)
    }

    fn join(
        &mut self,
        mut filters: Vec<Filter>,
        node: fn(Vec<Filter>) -> Filter,
    ) -> Result<Filter, Error> {
        match filters.pop() {
            Some(only) if filters.is_empty() => Ok(only),
            Some(last) => {
                filters.push(last);
                self.node(node(filters))
            }
            None => Err(self.expected("an attribute")),
        }
    }

    fn operand(&mut self) -> Result<Filter, Error> {
        if self.peek() == Some(&Kind::Open) {
            return self.nested(&Kind::Close, "\")\"");
        }
        if self.is_word("not") && self.peek_at(1) == Some(&Kind::Open) {
            self.next += 1;
            let filter = self.nested(&Kind::Close, "\")\"")?;
            return self.node(Filter::Not(Box::new(filter)));
        }
        let offset = self.offset();
        let path = self.path()?;
        match self.brackets(&path, offset)? {
            Some(filter) => self.element(path, filter),
            None => self.comparison(path),
        }
    }

    /// What may follow `path[filter]`: nothing, or a comparison that the same
    /// element must satisfy. `emails[type eq "work"] eq "x"`, without a
    /// sub-attribute, stood in Microsoft's documentation for years.
    fn element(&mut self, path: Path, filter: Filter) -> Result<Filter, Error> {
        let goes_on = self.is_operator() || self.word().is_some_and(|word| word.starts_with('.'));
        let sub = if goes_on && self.accents.has(Accent::ComparisonBehindBrackets) {
            Some(self.suffix()?.unwrap_or_else(|| "value".to_owned()))
        } else {
            None
        };
        let Some(attribute) = sub else {
            return self.node(Filter::Element(path, Box::new(filter)));
        };
        let comparison = self.comparison(Path::Plain {
            attribute,
            sub_attribute: None,
        })?;
        let both = self.node(Filter::And(vec![filter, comparison]))?;
        self.node(Filter::Element(path, Box::new(both)))
    }

    fn comparison(&mut self, path: Path) -> Result<Filter, Error> {
        if self.take_word("pr") {
            return self.node(Filter::Present(path));
        }
        let operator = self.word().and_then(Operator::parse);
        let Some(operator) = operator else {
            return Err(self.expected("an operator"));
        };
        self.next += 1;
        let literal = self.literal()?;
        self.node(Filter::Compare(path, operator, literal))
    }

    fn literal(&mut self) -> Result<Literal, Error> {
        let literal = match self.peek() {
            Some(Kind::Text(text)) => Literal::String(text.clone()),
            Some(Kind::Word(word)) => match *word {
                "null" => Literal::Null,
                "true" => Literal::Boolean(true),
                "false" => Literal::Boolean(false),
                number if is_number(number) => Literal::Number(number.to_owned()),
                // Microsoft Entra's documented lookups leave the quotes out.
                bare if !bare.contains('\0') && self.accents.has(Accent::BareLiterals) => {
                    Literal::String(bare.to_owned())
                }
                _ => return Err(self.expected("a value")),
            },
            _ => return Err(self.expected("a value")),
        };
        self.next += 1;
        Ok(literal)
    }

    fn path(&mut self) -> Result<Path, Error> {
        let path = self.word().and_then(Path::parse);
        let path = path.ok_or_else(|| self.expected("an attribute"))?;
        self.next += 1;
        Ok(path)
    }

    fn brackets(&mut self, path: &Path, offset: usize) -> Result<Option<Filter>, Error> {
        if self.peek() != Some(&Kind::OpenBracket) {
            return Ok(None);
        }
        // Of one with a URN, the resource's schemas tell.
        if matches!(path, Path::Plain { .. }) && path.name().is_none() {
            return Err(Error::new(offset, "brackets need an attribute before them"));
        }
        self.nested(&Kind::CloseBracket, "\"]\"").map(Some)
    }

    /// `.name` behind a closing bracket.
    fn suffix(&mut self) -> Result<Option<String>, Error> {
        let Some(name) = self.word().and_then(|word| word.strip_prefix('.')) else {
            return Ok(None);
        };
        match Path::parse(name) {
            Some(Path::Plain {
                attribute,
                sub_attribute: None,
            }) => {
                self.next += 1;
                Ok(Some(attribute))
            }
            _ => Err(self.expected("a sub-attribute")),
        }
    }

    fn nested(&mut self, close: &Kind<'_>, name: &str) -> Result<Filter, Error> {
        self.nestings += 1;
        if self.nestings > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} nestings");
            return Err(Error::new(self.offset(), message));
        }
        self.next += 1;
        let filter = self.or_expr()?;
        if self.peek() != Some(close) {
            return Err(self.expected(name));
        }
        self.next += 1;
        self.nestings -= 1;
        Ok(filter)
    }

    fn node(&mut self, filter: Filter) -> Result<Filter, Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} nodes");
            return Err(Error::new(self.offset(), message));
        }
        Ok(filter)
    }

    fn end(&self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("\"and\", \"or\" or the end")),
        }
    }

    fn peek(&self) -> Option<&Kind<'a>> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Kind<'a>> {
        self.tokens.get(self.next + ahead).map(|token| &token.kind)
    }

    fn word(&self) -> Option<&'a str> {
        match self.peek() {
            Some(Kind::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is_word(&self, keyword: &str) -> bool {
        self.word()
            .is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    fn is_operator(&self) -> bool {
        self.word().and_then(Operator::parse).is_some()
    }

    fn take_word(&mut self, keyword: &str) -> bool {
        let taken = self.is_word(keyword);
        self.next += usize::from(taken);
        taken
    }

    fn offset(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.length, |token| token.offset)
    }

    fn expected(&self, what: &str) -> Error {
        Error::new(self.offset(), format!("expected {what}"))
    }
}

fn is_number(word: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(word).is_ok()
}
