//! The commands that bring a model into a database.

use crate::commands::data_table::{ExportedFrom, ImagesAt};
use crate::commands::shell::shell_word;
use crate::connection::quote_literal;
use std::path::Path;

/// The commands for the model in this directory, which gives it its name, and for the table that the data set was exported from.
pub fn next_steps(directory: &Path, table: Option<&ExportedFrom>) -> String {
    let name = directory.file_name().map_or("mine".into(), |name| name.to_string_lossy());
    let example = ExportedFrom {
        table: "products".into(),
        instance: String::new(),
        category: String::new(),
        arrays: Vec::new(),
        image: "image".into(),
        images: ImagesAt::Database,
    };
    let known = table.unwrap_or(&example);
    let add = format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS emb coopvec", known.table);
    let index = format!("CREATE INDEX ON {} USING coop (emb)", known.table);
    format!(
        "what follows{}:\n  \
         coopembed load --db DATABASE --name {} --default {}\n  \
         psql DATABASE -c {} && {}\n  \
         psql DATABASE -c {}",
        if table.is_some() { "" } else { ", with the names of your table and its columns" },
        shell_word(&name),
        shell_word(&directory.to_string_lossy()),
        shell_word(&add),
        embed(known),
        shell_word(&index)
    )
}

/// The command that embeds the table.
fn embed(table: &ExportedFrom) -> String {
    let source = match &table.images {
        ImagesAt::Database => {
            let [name, image] = [&table.table, &table.image].map(|text| quote_literal(text));
            let call = format!("CALL coop_embed_table({name}, {image}, 'emb')");
            return format!("psql DATABASE -c {}", shell_word(&call));
        }
        ImagesAt::Root(root) => format!("--root {}", shell_word(&root.to_string_lossy())),
        ImagesAt::Http => "--http".into(),
    };
    let column = shell_word(&table.image);
    format!(
        "coopembed embed --db DATABASE --table {} --column {column} --emb emb {source}",
        shell_word(&table.table)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_name_the_model_and_its_directory() {
        let text = next_steps(Path::new("model/it's mine"), None);
        assert!(text.contains(r#"--name "it's mine" --default "model/it's mine""#), "{text}");
        assert!(
            text.contains(r#"psql DATABASE -c "CALL coop_embed_table('products', 'image', 'emb')""#),
            "{text}"
        );
        assert!(next_steps(Path::new("$it's"), None).contains(r"--name '$it'\''s'"));
        assert!(text.starts_with("what follows, with the names of your table"));
        assert!(next_steps(Path::new("model/mine"), None).contains("--name mine --default model/mine\n"));
    }

    #[test]
    fn an_exported_table_is_embedded_from_where_its_images_are() {
        let mut table = ExportedFrom {
            table: "shop.\"the Items\"".into(),
            instance: "sku".into(),
            category: "kind".into(),
            arrays: Vec::new(),
            image: "it's".into(),
            images: ImagesAt::Database,
        };
        let text = next_steps(Path::new("m"), Some(&table));
        let call = r#"CALL coop_embed_table('shop."the Items"', 'it''s', 'emb')"#;
        assert!(text.contains(&shell_word(call)), "{text}");
        assert!(
            text.ends_with(r#"psql DATABASE -c 'CREATE INDEX ON shop."the Items" USING coop (emb)'"#),
            "{text}"
        );
        table.images = ImagesAt::Root("/srv/my photos".into());
        let text = next_steps(Path::new("m"), Some(&table));
        let options = r#"--table 'shop."the Items"' --column "it's" --emb emb --root '/srv/my photos'"#;
        assert!(text.contains(options), "{text}");
        table.images = ImagesAt::Http;
        assert!(next_steps(Path::new("m"), Some(&table)).contains("--emb emb --http\n"));
    }
}
