//! Closed lists of words, as the OpenAPI document has them. The types that are read and written belong to the domain.

use utoipa::ToSchema;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident as $title:ident = $($word:ident)*;)*) => {
        $(
            $(#[$doc])*
            #[derive(ToSchema)]
            #[schema(as = $title, rename_all = "lowercase")]
            #[expect(dead_code, reason = "a schema of what belongs to the domain")]
            pub(crate) enum $name {
                $($word,)*
            }
        )*
    };
}

words! {
    /// Where a job stands.
    StateName as JobState = Scheduled Waiting Blocked Running Retrying Completed Cancelled Dead;
    /// Before or after its siblings.
    PriorityName as Priority = Urgent High Normal Low;
    /// While which job there is no second one of a key: one that waits to run, or any that has not ended.
    WindowName as Window = Waiting Unfinished;
    /// What becomes of firings that were missed: dropped, made up for by one, or all made.
    CatchUpName as CatchUp = Skip One All;
    /// How stored bytes are compressed.
    EncodingName as Encoding = Zstd Gzip Brotli None;
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;
    use crate::{
        domain::{Encoding, Priority, State},
        schedule::CatchUp,
    };

    fn listed(schema: utoipa::openapi::RefOr<utoipa::openapi::Schema>) -> Vec<String> {
        let json = serde_json::to_value(schema).unwrap();
        json["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_words_are_those_of_the_domain() {
        assert_eq!(listed(StateName::schema()), State::ALL.map(State::name));
        assert_eq!(listed(PriorityName::schema()), Priority::ALL.map(Priority::name));
        assert_eq!(listed(CatchUpName::schema()), CatchUp::ALL.map(CatchUp::name));
        assert_eq!(listed(EncodingName::schema()), Encoding::ALL.map(Encoding::name));
        assert_eq!(listed(WindowName::schema()), ["waiting", "unfinished"]);
    }
}
