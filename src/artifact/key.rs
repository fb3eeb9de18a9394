//! Storage keys made of names that have been checked, and the names in a folder of keys.

use object_store::{ObjectStore, path::Path};

/// The key with these segments, each of which is a checked name (a [`FileName`](crate::domain::FileName), a
/// [`TenantId`](crate::domain::TenantId), an id). They are kept as they are, whatever their script, so that people
/// find them again on a disk; `object_store` alone would percent-encode all that is not ASCII.
pub fn key<'a>(segments: impl IntoIterator<Item = &'a str>) -> Path {
    let segments: Vec<&str> = segments.into_iter().collect();
    // A checked name is always taken as it is (a test of the names shows it); anything else is made harmless.
    Path::parse(segments.join("/")).unwrap_or_else(|_| Path::from_iter(segments))
}

/// The names of the folders in a folder; of those at the root where none is given.
pub(crate) async fn folder_names(
    storage: &dyn ObjectStore,
    folder: Option<&Path>,
) -> object_store::Result<Vec<String>> {
    let listed = storage.list_with_delimiter(folder).await?;
    let name = |path: Path| path.parts().next_back().map(|part| part.as_ref().to_owned());
    Ok(listed.common_prefixes.into_iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_script_are_kept_and_what_is_no_name_is_made_harmless() {
        assert_eq!(key(["acme", "projects", "吾輩は猫である"]).as_ref(), "acme/projects/吾輩は猫である");
        assert_eq!(key(["acme", "..", "x"]).as_ref(), "acme/%2E%2E/x");
    }
}
