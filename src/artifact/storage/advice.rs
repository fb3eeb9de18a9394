//! What somebody can do about a storage that answers with an error. Owns: what of an error tells that. Must not know: who asked.

use object_store::Error;

/// Where each kind of bucket's credentials come from.
pub const CREDENTIALS: &str = "credentials come from the environment: s3:// takes AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
    gs:// GOOGLE_APPLICATION_CREDENTIALS (a key's file), az:// AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or \
    AZURE_STORAGE_SAS_TOKEN, or each what its cloud gives a machine";

/// What to do where a storage could not be written to or read at all; none where it may pass by itself.
pub fn advice(error: &Error) -> Option<String> {
    let told = error.to_string();
    let tells = |words: &[&str]| words.iter().any(|word| told.contains(word));
    if tells(&["token request", "/latest/api/token", "security-credentials", "computeMetadata"]) {
        return Some(format!(
            "it has no credentials, and this machine's own identity can't be had; {CREDENTIALS}"
        ));
    }
    if tells(&["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"]) {
        return Some("there is no such bucket or container: make it, or mend --storage-url".to_owned());
    }
    match error {
        Error::Unauthenticated { .. } | Error::PermissionDenied { .. } => Some(format!(
            "it refuses the credentials: mend them, or let them read, write, list and remove there; {CREDENTIALS}"
        )),
        _ if tells(&["error sending request"]) => Some(
            "it can't be reached: mend the network or its address (AWS_ENDPOINT, GOOGLE_BASE_URL, AZURE_STORAGE_ENDPOINT)"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_mended_is_told_and_what_passes_is_not() {
        let path = || "x".to_owned();
        let denied = Error::PermissionDenied { path: path(), source: "403".into() };
        assert!(advice(&denied).unwrap().contains("AZURE_STORAGE_ACCOUNT_KEY"));
        let none = Error::NotFound { path: path(), source: "<Code>ContainerNotFound</Code>".into() };
        assert!(advice(&none).unwrap().contains("make it"));
        assert_eq!(advice(&Error::NotFound { path: path(), source: "NoSuchKey".into() }), None);
        let down = Error::Generic { store: "S3", source: "503 SlowDown".into() };
        assert_eq!(advice(&down), None);
    }
}
