//! Cuts source text into identifiers with their lines. Owned by the program that indexes; borrows the text.
//! Invariant: every piece it yields matches `[A-Za-z_][A-Za-z0-9_]*` and is bounded by other bytes.

/// Iterator over `(line, identifier)` of a text; lines count from 1. A number swallows the letters glued to it
/// (`0xff`, `1u8`), so these are no identifiers; letters beyond ASCII separate. O(text) in all.
#[derive(Clone, Debug)]
pub struct Identifiers<'text> {
    text: &'text str,
    at: usize,
    line: u32,
}

impl<'text> Identifiers<'text> {
    /// Starts at the top of `text`.
    pub fn new(text: &'text str) -> Self {
        Self { text, at: 0, line: 1 }
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl<'text> Iterator for Identifiers<'text> {
    type Item = (u32, &'text str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            let first = bytes[self.at];
            if !is_word(first) {
                self.line += u32::from(first == b'\n');
                self.at += 1;
                continue;
            }
            let start = self.at;
            while self.at < bytes.len() && is_word(bytes[self.at]) {
                self.at += 1;
            }
            if !first.is_ascii_digit() {
                // Both ends lie beside ASCII bytes, so this never cuts a character.
                return Some((self.line, &self.text[start..self.at]));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(u32, &str)> {
        Identifiers::new(text).collect()
    }

    #[test]
    fn finds_identifiers_and_their_lines() {
        assert_eq!(
            all("fn main() {\n  let _x1 = y;\r\n}\n\nend"),
            [(1, "fn"), (1, "main"), (2, "let"), (2, "_x1"), (2, "y"), (5, "end")]
        );
    }

    #[test]
    fn numbers_swallow_their_suffixes() {
        assert_eq!(all("0xFF 1u8 2.5e3 a1 _1"), [(1, "a1"), (1, "_1")]);
    }

    #[test]
    fn letters_beyond_ascii_separate() {
        assert_eq!(
            all("naïve größe 日本 x日y"),
            [(1, "na"), (1, "ve"), (1, "gr"), (1, "e"), (1, "x"), (1, "y")]
        );
    }

    #[test]
    fn empty_and_wordless_texts_give_nothing() {
        assert!(all("").is_empty());
        assert!(all("\n\n 12 + 3\n").is_empty());
    }

    #[test]
    fn agrees_with_a_naive_model() {
        // Model: cut at every character that is no word character, drop pieces that start with a digit.
        let mut state = 0x9e37_79b9_u64;
        for _ in 0..2000 {
            let mut text = String::new();
            for _ in 0..40 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push(['a', 'Z', '_', '0', '7', ' ', '\n', 'é', '.', '日'][(state >> 33) as usize % 10]);
            }
            let mut model = Vec::new();
            for (line, content) in text.split('\n').enumerate() {
                for piece in content.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                    if piece.starts_with(|c: char| !c.is_ascii_digit()) {
                        model.push((line as u32 + 1, piece));
                    }
                }
            }
            assert_eq!(all(&text), model, "{text:?}");
        }
    }
}
