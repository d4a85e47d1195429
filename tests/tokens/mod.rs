//! Tokens: Rust source as names, numbers and punctuation, enough to check what it names.

/// A name, number or mark, and its line. Strings and characters are left empty, comments left out.
pub struct Token {
    pub line: usize,
    pub text: String,
}

pub fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (length, is_shown) = next_token(rest, first);
        let (text, after) = rest.split_at(length);
        if is_shown {
            tokens.push(Token { line, text: text.into() });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Returns the length of the next token, and whether it is more than space, comment or string.
fn next_token(rest: &str, first: char) -> (usize, bool) {
    let run = |is_part: fn(char) -> bool| rest.find(|next| !is_part(next)).unwrap_or(rest.len());
    if first.is_whitespace() {
        (run(char::is_whitespace), false)
    } else if rest.starts_with("//") {
        (run(|next| next != '\n'), false)
    } else if rest.starts_with("/*") {
        (rest.find("*/").map_or(rest.len(), |end| end + 2), false)
    } else if let Some(length) = text_length(rest).or_else(|| character_length(rest)) {
        (length, false)
    } else if first.is_ascii_digit() {
        (number_length(rest), true)
    } else if is_word(first) {
        (run(is_word), true)
    } else {
        let is_pair = ["::", "->", "=>"].iter().any(|pair| rest.starts_with(pair));
        (if is_pair { 2 } else { first.len_utf8() }, true)
    }
}

fn is_word(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

/// Includes its fraction and its type, but not the dots of a range or of a method call.
fn number_length(rest: &str) -> usize {
    let goes_on = |at: usize, next: char| is_word(next) || next == '.' && rest[at + 1..].starts_with(is_digit);
    rest.char_indices().find(|&(at, next)| !goes_on(at, next)).map_or(rest.len(), |(at, _)| at)
}

fn is_digit(next: char) -> bool {
    next.is_ascii_digit()
}

/// Returns the length of a string that begins here, plain or raw.
fn text_length(rest: &str) -> Option<usize> {
    let unprefixed = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    let Some(raw) = unprefixed.strip_prefix('r') else {
        let begin = rest.len() - unprefixed.strip_prefix('"')?.len();
        return Some(quoted_length(rest, begin, '"'));
    };
    let text = raw.trim_start_matches('#').strip_prefix('"')?;
    let begin = rest.len() - text.len();
    let end = format!("\"{}", "#".repeat(raw.len() - text.len() - 1));
    Some(text.find(&end).map_or(rest.len(), |at| begin + at + end.len()))
}

/// Returns the length of a character that begins here, if it is not a lifetime.
fn character_length(rest: &str) -> Option<usize> {
    let mut chars = rest.strip_prefix('\'')?.chars();
    let is_character = chars.next() == Some('\\') || chars.next() == Some('\'');
    is_character.then(|| quoted_length(rest, 1, '\''))
}

/// Returns the length up to the first quote that is not escaped.
fn quoted_length(rest: &str, begin: usize, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, next) in rest[begin..].char_indices() {
        if next == quote && !is_escaped {
            return begin + at + 1;
        }
        is_escaped = next == '\\' && !is_escaped;
    }
    rest.len()
}

/// Returns where modules or items are named by paths that begin with `root`.
pub fn names_below(root: &str, tokens: &[Token]) -> Vec<usize> {
    let roots = (0..tokens.len()).filter(|&at| tokens[at].text == root);
    roots.flat_map(|at| path_names(tokens, at + 1)).collect()
}

/// Returns where a path continues after `::`: at one name, or at each of a group.
pub fn path_names(tokens: &[Token], at: usize) -> Vec<usize> {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
    if !is(at, "::") {
        return Vec::new();
    }
    if !is(at + 1, "{") {
        return vec![at + 1];
    }
    let mut depth = 0;
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(at + 1) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && (is(at - 1, "{") || is(at - 1, ",")) => names.push(at),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Returns the lines in which `super`, in a file at this depth of modules, reaches the crate's root.
pub fn supers_at_root(tokens: &[Token], depth: usize) -> Vec<usize> {
    let mut lines = Vec::new();
    let (mut braces, mut inline, mut climbed) = (0, Vec::new(), 0);
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => braces += 1,
            "}" => {
                braces -= 1;
                inline.pop_if(|outside| *outside == braces);
            }
            "mod" if tokens.get(at + 2).is_some_and(|after| after.text == "{") => inline.push(braces),
            "::" => continue,
            _ => {}
        }
        climbed = if token.text == "super" { climbed + 1 } else { 0 };
        if climbed > 0 && climbed == depth + inline.len() {
            lines.push(token.line);
        }
    }
    lines
}

/// Returns whether the type or constructor of the map that is named here uses the default hasher, which has a random
/// seed.
pub fn has_random_order(tokens: &[Token], at: usize) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let next = at + 1 + usize::from(text(at + 1) == "::");
    let mut depth = 0;
    let mut arguments = tokens[next..].iter().take_while(|token| {
        depth += i32::from(token.text == "<") - i32::from(token.text == ">");
        depth > 0
    });
    match text(next) {
        "new" | "with_capacity" | "from" => true,
        "<" => !arguments.any(|token| token.text == "FixedState"),
        _ => false,
    }
}
