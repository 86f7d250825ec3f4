//! The commands that bring a model into a database.

use std::path::Path;

/// The commands for the model in this directory, which gives it its name.
pub fn next_steps(directory: &Path) -> String {
    let name = directory.file_name().map_or("mine".into(), |name| name.to_string_lossy());
    let (name, directory) = (quoted(&name), quoted(&directory.to_string_lossy()));
    format!(
        "what follows, with your database, table and columns:\n  \
         coopembed load --db DATABASE --name {name} {directory}\n  \
         psql DATABASE -c 'ALTER TABLE products ADD COLUMN emb coopvec' -c \"CALL coop_embed_table('products', 'image', 'emb')\"\n  \
         psql DATABASE -c 'CREATE INDEX ON products USING coop (emb)'"
    )
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_name_the_model_and_its_directory() {
        let text = next_steps(Path::new("model/it's mine"));
        assert!(
            text.contains(r"coopembed load --db DATABASE --name 'it'\''s mine' 'model/it'\''s mine'"),
            "{text}"
        );
        assert!(next_steps(Path::new("model/mine")).contains("--name mine model/mine\n"));
    }
}
