//! `--name value` pairs.

use std::collections::HashMap;
use std::str::FromStr;

/// The options after the subcommand.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Reads pairs; the error is a sentence.
    pub fn parse(mut line: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut found = HashMap::new();
        while let Some(name) = line.next() {
            let bare = name
                .strip_prefix("--")
                .ok_or_else(|| format!("{name}: an option begins with --"))?;
            let value = line.next().ok_or_else(|| format!("{name} needs a value"))?;
            found.insert(bare.to_owned(), value);
        }
        Ok(Self(found))
    }

    /// An option that must be there.
    pub fn need<T: FromStr>(&self, name: &str) -> Result<T, String> {
        self.take(name)?
            .ok_or_else(|| format!("--{name} is needed"))
    }

    /// An option with a default.
    pub fn or<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        Ok(self.take(name)?.unwrap_or(default))
    }

    fn take<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("--{name} {text}: not a value of this option")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn pairs_are_read_and_faults_are_named() {
        let arguments = parse("--rate 20000 --plan x").expect("a right line");
        assert_eq!(arguments.need::<u64>("rate"), Ok(20_000));
        assert_eq!(arguments.or::<u64>("warm", 7), Ok(7));
        assert!(
            arguments
                .need::<u64>("plan")
                .is_err_and(|e| e.contains("--plan x"))
        );
        assert!(
            arguments
                .need::<u64>("pairs")
                .is_err_and(|e| e.contains("--pairs"))
        );
        assert!(parse("--rate").is_err() && parse("rate 1").is_err());
    }
}
