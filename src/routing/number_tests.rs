use phonenumber::country;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const FR: Country = Country(country::FR);
const US: Country = Country(country::US);
const GB: Country = Country(country::GB);

fn read(raw: &str, country: Country) -> Option<String> {
    normalise(raw, country).map(|number| number.as_str().to_owned())
}

#[test]
fn every_documented_form_is_the_same_number() {
    for raw in [
        "0639980019",
        "0033639980019",
        "+33639980019",
        "33639980019",
        "+33639980019;npdi",
        "33639980019;npdi=yes;rn=1",
        "0639980019;phone-context=+33",
        "639980019;phone-context=+33",
        "06 39 98 00 19",
        "06.39.98.00.19",
        "+33 (0)6 39 98 00 19",
        "+33-6-39-98-00-19",
        "tel:+33639980019",
        "tel:0639980019;phone-context=+33",
        "TEL:+33-639-980-019",
        "sip:+33639980019@192.0.2.1:5060;user=phone",
        "sip:0639980019@trunk.example.com",
        "sips:0033639980019@h",
        "<sip:33639980019@h>;tag=1",
        "\"Mme <3\" <sip:+33639980019;npdi@h>",
        "%2B33639980019",
        "0639980019;phone-context=example.com",
        " +33639980019 ",
        "06\u{a0}39 98 00 19",
        "+33639980019@h",
        "639980019",
    ] {
        assert_eq!(read(raw, FR).as_deref(), Some("+33639980019"), "{raw:?}");
    }
}

#[test]
fn unassigned_and_fictional_numbers_are_taken() {
    for (raw, country, expected) in [
        ("+33199000001", FR, "+33199000001"),
        ("0199000001", FR, "+33199000001"),
        ("33199000001", FR, "+33199000001"),
        ("+33199000001", US, "+33199000001"),
        ("+12025550101", FR, "+12025550101"),
        ("12025550101", FR, "+12025550101"),
        ("0012025550101", FR, "+12025550101"),
        ("2025550101", US, "+12025550101"),
        ("12025550101", US, "+12025550101"),
        ("(202) 555-0102", US, "+12025550102"),
        ("01133199000001", US, "+33199000001"),
        ("0114915123456789", US, "+4915123456789"),
        ("01632 960001", GB, "+441632960001"),
        ("+441632960001", FR, "+441632960001"),
        ("33199000001", US, "+33199000001"),
    ] {
        assert_eq!(read(raw, country).as_deref(), Some(expected), "{raw:?}");
    }
}

#[test]
fn numbers_that_begin_like_a_national_prefix_stay_whole() {
    // Italy keeps its 0; Belarus' 8 is its national prefix and the start of its free numbers.
    for number in ["+390612345678", "+3758011234567", "+78005550101", "+5491123456789"] {
        assert_eq!(read(number, FR).as_deref(), Some(number));
    }
    assert_eq!(read("0612345678", Country(country::IT)).as_deref(), Some("+390612345678"));
}

#[test]
fn what_is_no_number_is_none() {
    for raw in [
        "",
        "+",
        "anonymous",
        "sip:alice@h",
        "sip:h",
        "sip:@h",
        "tel:",
        "tel:*31#",
        "+33abc",
        "1-800-FLOWERS",
        "+0639980019",
        "http://0639980019",
        "+999639980019000000",
        "++33639980019",
        "06+39980019",
        "%",
        "%2",
        "%zz",
        "%ff",
        "<sip:+336",
        "0639980019%0d%0aVia",
        "\u{661}\u{662}\u{663}",
    ] {
        assert_eq!(read(raw, FR), None, "{raw:?}");
    }
    assert_eq!(read(&"1".repeat(300), FR), None);
    assert_eq!(read(&format!("+33639980019;x={}", "a".repeat(300)), FR), None);
}

#[test]
fn country_codes_are_checked() {
    assert_eq!("fr".parse(), Ok(FR));
    assert_eq!("FR".parse::<Country>().map(|country| country.to_string()), Ok("FR".to_owned()));
    for bad in ["", "France", "XX", "001", "F"] {
        assert_eq!(bad.parse::<Country>(), Err(UnknownCountry), "{bad}");
    }
}

#[test]
fn a_national_prefix_that_was_put_in_twice_is_taken_out_twice() {
    let country: Country = "GB".parse().unwrap();
    let number = normalise("002700243942930", country).unwrap();
    assert_eq!(
        (number.as_str(), normalise(number.as_str(), country)),
        ("+27243942930", Some(number.clone()))
    );
}

#[test]
fn any_digits_in_any_country_are_read_or_refused_without_panic() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let countries: Vec<Country> = DATABASE.iter().filter_map(|meta| meta.id().parse().ok()).collect();
    assert!(countries.len() > 200);
    for country in countries {
        for _ in 0..15 {
            let digits: String =
                (0..rng.random_range(1..16)).map(|_| char::from(b'0' + rng.random_range(0..10))).collect();
            let plus = ["", "+", "00", "0"][rng.random_range(0..4)];
            let raw = format!("{plus}{digits}");
            if let Some(number) = normalise(&raw, country) {
                // What is normal stays so.
                assert_eq!(
                    normalise(number.as_str(), country),
                    Some(number.clone()),
                    "seed {seed}: {raw} in {country}"
                );
            }
        }
    }
}
