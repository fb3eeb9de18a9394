//! Passwords that are tried first, and words that people make long ones of: a list of our own, short because a password has
//! twelve bytes. Sorted, small letters.

#[rustfmt::skip]
pub(super) const COMMON: &[&str] = &[
    "000000", "0123456789", "0987654321", "111111", "111222", "112233", "121212", "123123", "123321",
    "12345", "123456", "1234567", "12345678", "123456789", "1234567890", "123456789012", "1234567890123",
    "123abc", "147258369", "159753", "1q2w3e", "1q2w3e4r", "1q2w3e4r5t", "1q2w3e4r5t6y", "1qaz2wsx",
    "1qaz2wsx3edc", "1qaz2wsx3edc4rfv", "1qazxsw2", "222222", "333333", "444444", "555555", "654321",
    "666666", "777777", "789456123", "87654321", "888888", "987654321", "999999", "a1b2c3d4",
    "a1b2c3d4e5f6", "abc123", "abcd1234", "abcdef", "abcdefg", "abcdefgh", "abcdefghijkl", "abcdefghijklm",
    "access", "admin", "adminadmin", "administrator", "adminpassword", "andrew", "android", "angel",
    "angels", "apple", "april", "arsenal", "asdf", "asdfgh", "asdfghjkl", "asdfghjkl;", "asdzxc", "ashley",
    "august", "autumn", "azerty", "azertyuiop", "barcelona", "baseball", "basketball", "batman", "blessed",
    "bookbookbook", "buster", "butterfly", "changeit", "changeme", "changemenow", "changepassword",
    "changethis", "charlie", "cheese", "chelsea", "chocolate", "computer", "contrasena", "cookie",
    "correct horse battery staple", "correct-horse-battery-staple", "correcthorsebatterystaple", "corvette",
    "daddy", "daniel", "december", "default", "defaultpassword", "dragon", "enterpassword", "facebook",
    "family", "father", "february", "ferrari", "flower", "football", "forever", "freedom", "friday",
    "friends", "george", "ginger", "google", "guest", "harley", "haslo", "heaven", "hockey", "hunter",
    "ilovegod", "ilovehim", "iloveyou", "iloveyou2", "iloveyouforever", "internet", "january", "jennifer",
    "jessica", "jesus", "jesuschrist", "jordan", "joshua", "july", "june", "juventus", "killer", "letmein",
    "letmeinnow", "letmeinplease", "linkedin", "liverpool", "lkjhgfdsa", "login", "logmein", "lovely",
    "loveme", "loveyou", "manutd", "march", "master", "masterpassword", "matthew", "mercedes", "michael",
    "michelle", "microsoft", "mnbvcxz", "mommy", "monday", "monkey", "motdepasse", "mother", "mustang",
    "mypassword", "mypasswordis", "newpassword", "nopassword", "nothing", "november", "october",
    "oldpassword", "p@ssw0rd", "p@ssword", "parola", "pass", "passw0rd", "password", "password-password",
    "passwordpassword", "passwort", "pepper", "poiuytrewq", "pokemon", "porsche", "presswork",
    "pressworkadmin", "pressworkpassword", "princess", "publisher", "publishing", "q1w2e3r4", "q1w2e3r4t5",
    "qazwsx", "qazwsxedc", "qweasd", "qweasdzxc", "qwerty", "qwerty123456", "qwertyuiop",
    "qwertyuiop123456", "qwertyuiop[]", "qwertyuiopas", "qwertz", "qwertzuiop", "ranger", "realmadrid",
    "robert", "root", "rootpassword", "rootroot", "samsung", "saturday", "secret", "secretpassword",
    "senha", "september", "shadow", "soccer", "spiderman", "spring", "startrek", "starwars",
    "strongpassword", "summer", "sunday", "sunshine", "superman", "supersecret", "supersecretpassword",
    "temp", "temporary", "test", "tester", "testing", "testpassword", "testtest", "thisisapassword",
    "thisismypassword", "thomas", "thursday", "tigger", "toor", "topsecret", "trustno", "tuesday", "user",
    "userpassword", "wachtwoord", "wednesday", "welcome", "welcomehome", "welcometo", "whatever", "windows",
    "winter", "yourpassword", "zaq12wsx", "zaq1zaq1", "zxcvbn", "zxcvbnm",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_small() {
        assert!(COMMON.is_sorted() && COMMON.len() > 200);
        assert!(COMMON.iter().all(|word| word.to_lowercase() == **word));
    }
}
