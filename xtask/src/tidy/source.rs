//! Rust source with everything blanked that is not code, so that braces can be counted.

/// The same text, with comments and the insides of literals turned into spaces. Lines stay lines.
pub(crate) fn blank(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let (length, is_code) = next_piece(rest, first, out.chars().next_back());
        let (piece, after) = rest.split_at(length.clamp(1, rest.len()));
        if is_code {
            out.push_str(piece);
        } else {
            out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    out
}

/// (bytes, whether they are code) of the comment, literal or character that `rest` begins with.
fn next_piece(rest: &str, first: char, before: Option<char>) -> (usize, bool) {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match first {
        '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
        '/' if rest.starts_with("/*") => (block_comment(rest), false),
        '"' => (string(rest), false),
        'r' | 'b' | 'c' if !in_word => match prefixed_string(rest) {
            Some(length) => (length, false),
            None => (1, true),
        },
        '\'' => match character(rest) {
            Some(length) => (length, false),
            None => (1, true), // A lifetime.
        },
        other => (other.len_utf8(), true),
    }
}

/// Length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Length of a string with escapes.
fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of a raw, byte or C string, if `rest` begins with one.
fn prefixed_string(rest: &str) -> Option<usize> {
    let letters = rest.find(|c: char| !"rbc".contains(c)).filter(|count| *count <= 2)?;
    let (prefix, body) = rest.split_at(letters);
    if !prefix.contains('r') {
        return body.starts_with('"').then(|| letters + string(body));
    }
    let hashes = body.find(|c: char| c != '#')?;
    if !body.get(hashes..)?.starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = body.get(hashes + 1..)?;
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(letters + hashes + 1 + length)
}

/// Length of a character literal, if `rest` begins with one and not with a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, inside) = chars.next()?;
    if inside == '\\' {
        chars.next()?; // The escaped character, which may be a quote.
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

/// The bytes from an item's first brace to its end, or to its semicolon: `(begin, end)`.
///
/// A semicolon between round or square brackets, as in `[u8; 4]`, does not end an item.
pub(crate) fn body(code: &str, from: usize) -> Option<(usize, usize)> {
    let mut nested = 0_usize;
    let mut depth = 0_usize;
    let mut begin = None;
    for (offset, c) in code.get(from..)?.char_indices() {
        let at = from + offset;
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested = nested.saturating_sub(1),
            ';' if nested == 0 && depth == 0 => return Some((at, at + 1)),
            '{' => {
                begin.get_or_insert(at);
                depth += 1;
            }
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return begin.map(|begin| (begin, at + 1));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_code_is_blank() {
        for (text, code) in [
            ("a // {\nb", "a b"),
            ("a /* { /* } */ { */ b", "a b"),
            (r#"f("{\"", x)"#, "f( , x)"),
            ("f(r#\"{\"}\"#)", "f( )"),
            ("f(b\"{\", c\"}\", br\"{\")", "f( , , )"),
            ("x '{' '\\'' '\\u{7d}' 'é' y", "x y"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("for r in b {}", "for r in b {}"),
        ] {
            let blanked = blank(text);
            assert_eq!(blanked.split_whitespace().collect::<Vec<_>>().join(" "), code, "{text}");
            assert_eq!(blanked.lines().count(), text.lines().count(), "{text}");
        }
    }

    #[test]
    fn bodies_end_where_they_end() {
        let code = "fn f(x: [u8; 4]) -> [u8; 2] { { } } fn g();";
        let (begin, end) = body(code, 0).unwrap();
        assert_eq!(&code[begin..end], "{ { } }");
        let (_, end) = body(code, end).unwrap();
        assert_eq!(end, code.len());
        assert_eq!(body("fn f() {", 0), None);
    }
}
