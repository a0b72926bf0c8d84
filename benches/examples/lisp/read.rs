//! Reads a script: numbers, names, lists, and `'` for quote. Owned by whoever runs the script. Invariant: what is read has
//! no pointers, so that it can be kept outside any arena.

/// One form of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Number(i64),
    Name(String),
    List(Vec<Form>),
}

/// The forms of a script.
pub(crate) fn forms(script: &str) -> Result<Vec<Form>, String> {
    let bare =
        script.lines().map(|line| line.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let spaced = bare.replace('(', " ( ").replace(')', " ) ").replace('\'', " ' ");
    let mut words = spaced.split_whitespace();
    let mut forms = Vec::new();
    while let Some(word) = words.next() {
        forms.push(form(word, &mut words)?);
    }
    Ok(forms)
}

fn form<'a>(word: &str, words: &mut impl Iterator<Item = &'a str>) -> Result<Form, String> {
    match word {
        "(" => {
            let mut list = Vec::new();
            loop {
                match words.next().ok_or("a list without end")? {
                    ")" => return Ok(Form::List(list)),
                    word => list.push(form(word, words)?),
                }
            }
        }
        ")" => Err("a list without beginning".into()),
        "'" => {
            let quoted = form(words.next().ok_or("nothing is quoted")?, words)?;
            Ok(Form::List(vec![Form::Name("quote".into()), quoted]))
        }
        word => Ok(word.parse().map_or_else(|_| Form::Name(word.into()), Form::Number)),
    }
}
