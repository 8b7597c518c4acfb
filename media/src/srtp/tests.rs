use super::kdf::{Label, SessionKeys, derive};
use super::*;
use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use zeroize::Zeroizing;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn master(suite: Suite) -> MasterKey {
    Seed::new([7; 32]).master_key(suite, None)
}

fn pair(master: &MasterKey) -> (Protector, Unprotector) {
    (Protector::new(master.clone()).unwrap(), Unprotector::new(master.clone()).unwrap())
}

fn rtp(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..160).map(|n| n as u8 ^ sequence as u8));
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    [&[0x80, 201, 0, 1], &ssrc.to_be_bytes()[..], &[0x81, 203, 0, 1], &ssrc.to_be_bytes()[..]].concat()
}

fn protect(protector: &mut Protector, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [0; MAX_DATAGRAM];
    buffer[..packet.len()].copy_from_slice(packet);
    let length = protector.protect_rtp(&mut buffer, packet.len()).unwrap();
    buffer[..length].to_vec()
}

fn protect_rtcp(protector: &mut Protector, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [0; MAX_DATAGRAM];
    buffer[..packet.len()].copy_from_slice(packet);
    let length = protector.protect_rtcp(&mut buffer, packet.len()).unwrap();
    buffer[..length].to_vec()
}

fn unprotect(unprotector: &mut Unprotector, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut out = [0; MAX_DATAGRAM];
    unprotector.unprotect_rtp(packet, &mut out).map(|length| out[..length].to_vec())
}

fn unprotect_rtcp(unprotector: &mut Unprotector, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut out = [0; MAX_DATAGRAM];
    unprotector.unprotect_rtcp(packet, &mut out).map(|length| out[..length].to_vec())
}

/// RFC 3711 Appendix B.3.
#[test]
fn session_keys_are_those_of_rfc_3711() {
    let material = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &material, None).unwrap();
    let mut cipher = [0; 16];
    derive(&master, Label::RtpCipher, &mut cipher);
    assert_eq!(cipher.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    let mut salt = [0; 14];
    derive(&master, Label::RtpSalt, &mut salt);
    assert_eq!(salt.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let mut authentication = [0; 94];
    derive(&master, Label::RtpAuthentication, &mut authentication);
    let expected = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2";
    assert_eq!(authentication.to_vec(), hex(expected));
}

/// The packet that libsrtp and others publish for the key of RFC 3711 B.3.
#[test]
fn a_packet_in_counter_mode_is_the_published_one() {
    let material = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &material, None).unwrap();
    let (mut protector, mut unprotector) = pair(&master);
    let plain = hex("800f1234 decafbad cafebabe abababab abababab abababab abababab");
    let protected = protect(&mut protector, &plain);
    assert_eq!(
        protected,
        hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")
    );
    assert_eq!(unprotect(&mut unprotector, &protected), Ok(plain));
}

fn session_keys(key: &[u8], salt: &[u8]) -> SessionKeys {
    let mut keys = SessionKeys {
        suite: Suite::AeadAes256Gcm,
        cipher: Zeroizing::new([0; 32]),
        authentication: Zeroizing::new([0; 20]),
        salt: [0; 14],
    };
    keys.cipher.copy_from_slice(key);
    keys.salt[..12].copy_from_slice(salt);
    keys
}

/// RFC 7714 §16.2 and §17.2.
#[test]
fn packets_in_gcm_are_those_of_rfc_7714() {
    let keys = session_keys(
        &hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        b"Quid pro quo",
    );
    let (protector, unprotector) = pair(&master(Suite::AeadAes256Gcm));
    let (mut protector, mut unprotector) =
        (protector.with_session_keys(&keys).at(None, 0x5d3), unprotector.with_session_keys(&keys));
    let plain = [&hex("8040f17b8041f8d35501a0b2")[..], b"Gallia est omnis divisa in partes tres"].concat();
    let expected = "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13";
    assert_eq!(protect(&mut protector, &plain), hex(expected));
    assert_eq!(unprotect(&mut unprotector, &hex(expected)), Ok(plain));
    let plain = hex(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    );
    let expected = "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4";
    assert_eq!(protect_rtcp(&mut protector, &plain), hex(expected));
    assert_eq!(unprotect_rtcp(&mut unprotector, &hex(expected)), Ok(plain));
}

fn theirs(master: &MasterKey) -> Context {
    let profile = match master.suite() {
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
    };
    let provider = rtc_crypto::default_provider().unwrap();
    Context::new(master.key(), master.salt(), profile, None, None, provider.crypto()).unwrap()
}

#[test]
fn another_implementation_understands_us_and_we_understand_it() {
    for suite in Suite::ALL {
        let master = master(suite);
        let (mut protector, mut unprotector) = pair(&master);
        let (mut sender, mut receiver) = (theirs(&master), theirs(&master));
        // From before the turn of the sequence number to after it.
        for step in 0..200u16 {
            let packet = rtp(65_436u16.wrapping_add(step), 9);
            let ours = protect(&mut protector, &packet);
            assert_eq!(receiver.decrypt_rtp(&ours).unwrap()[..], packet[..], "{suite:?} {step}");
            let other = sender.encrypt_rtp(&packet).unwrap();
            assert_eq!(ours, other[..], "{suite:?} {step}");
            assert_eq!(unprotect(&mut unprotector, &other), Ok(packet));
        }
        let report = rtcp(9);
        let ours = protect_rtcp(&mut protector, &report);
        assert_eq!(receiver.decrypt_rtcp(&ours).unwrap()[..], report[..], "{suite:?}");
        let other = sender.encrypt_rtcp(&report).unwrap();
        assert_eq!(unprotect_rtcp(&mut unprotector, &other), Ok(report));
    }
}

#[test]
fn the_roll_over_is_right_with_loss_reordering_and_over_many_turns() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(&master(suite));
        let (mut random, mut held) = (1u64, None::<(u64, Vec<u8>)>);
        for index in 60_000u64..60_000 + 4 * 65_536 {
            // Sparse, to be quick; every packet is protected, as the sequence number must step through.
            let packet = rtp(index as u16, 5);
            if index % 97 != 0 && (index & 0xFFFF) > 40 && (index & 0xFFFF) < 65_500 {
                continue;
            }
            let sent = protect(&mut protector, &packet);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match random >> 61 {
                // Lost.
                0 => {}
                // Late by one.
                1 if held.is_none() => held = Some((index, sent)),
                _ => {
                    assert_eq!(unprotect(&mut unprotector, &sent), Ok(packet), "{suite:?} {index}");
                    if let Some((late, sent)) = held.take().filter(|(late, _)| late + 100 > index) {
                        assert_eq!(unprotect(&mut unprotector, &sent), Ok(rtp(late as u16, 5)));
                    }
                }
            }
        }
    }
}

#[test]
fn a_stream_whose_first_packets_were_lost_around_the_turn_is_joined() {
    let (mut protector, mut unprotector) = pair(&master(Suite::AesCm128HmacSha1_80));
    protect(&mut protector, &rtp(65_535, 5));
    let second_turn = protect(&mut protector, &rtp(3, 5));
    assert_eq!(unprotect(&mut unprotector, &second_turn), Ok(rtp(3, 5)));
    let next = protect(&mut protector, &rtp(4, 5));
    assert_eq!(unprotect(&mut unprotector, &next), Ok(rtp(4, 5)));
}

#[test]
fn packets_protected_out_of_order_keep_their_turn() {
    let (mut protector, mut unprotector) = pair(&master(Suite::AesCm128HmacSha1_80));
    for sequence in [65_530, 65_533, 65_531, 2, 65_535, 1, 3] {
        let sent = protect(&mut protector, &rtp(sequence, 5));
        assert_eq!(unprotect(&mut unprotector, &sent), Ok(rtp(sequence, 5)), "{sequence}");
    }
}

#[test]
fn repeated_and_very_old_packets_are_refused() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(&master(suite));
        let sent: Vec<_> = (0..200u16).map(|n| protect(&mut protector, &rtp(n, 5))).collect();
        assert!(unprotect(&mut unprotector, &sent[0]).is_ok());
        assert_eq!(unprotect(&mut unprotector, &sent[0]), Err(SrtpError::Replayed));
        assert!(unprotect(&mut unprotector, &sent[199]).is_ok());
        assert_eq!(unprotect(&mut unprotector, &sent[1]), Err(SrtpError::Replayed), "too old to tell");
        assert!(unprotect(&mut unprotector, &sent[150]).is_ok());
        let report = protect_rtcp(&mut protector, &rtcp(5));
        assert!(unprotect_rtcp(&mut unprotector, &report).is_ok());
        assert_eq!(unprotect_rtcp(&mut unprotector, &report), Err(SrtpError::Replayed));
    }
}

#[test]
fn bad_packets_by_the_thousand_leave_no_trace() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(&master(suite));
        let first = protect(&mut protector, &rtp(10, 5));
        unprotect(&mut unprotector, &first).unwrap();
        let mut forged = protect(&mut protector, &rtp(11, 5));
        let good = forged.clone();
        let length = forged.len();
        for n in 0..20_000usize {
            let (place, bit) = (n % length, n / length % 8);
            forged[place] ^= 1 << bit;
            assert!(unprotect(&mut unprotector, &forged).is_err(), "{suite:?}: byte {place} bit {bit}");
            forged[place] ^= 1 << bit;
        }
        // Another stream of another key, at any sequence number, and by SSRCs without number.
        let mut stranger = Protector::new(Seed::new([8; 32]).master_key(suite, None)).unwrap();
        for n in 0..5_000u32 {
            let packet = protect(&mut stranger, &rtp((n * 13) as u16, if n % 2 == 0 { 5 } else { n }));
            assert!(unprotect(&mut unprotector, &packet).is_err());
        }
        assert_eq!(unprotect(&mut unprotector, &good), Ok(rtp(11, 5)));
    }
}

#[test]
fn an_mki_is_carried_and_checked() {
    for suite in Suite::ALL {
        let with = |value| Seed::new([7; 32]).master_key(suite, Mki::new(value, 2));
        let (mut protector, mut unprotector) = pair(&with(0x0102));
        let sent = protect(&mut protector, &rtp(1, 5));
        assert_eq!(sent.len(), 172 + 2 + suite.rtp_tag_bytes());
        assert_eq!(unprotect(&mut unprotector, &sent), Ok(rtp(1, 5)));
        let report = protect_rtcp(&mut protector, &rtcp(5));
        assert_eq!(unprotect_rtcp(&mut unprotector, &report), Ok(rtcp(5)));
        let mut other = Unprotector::new(with(0x0103)).unwrap();
        assert_eq!(unprotect(&mut other, &sent), Err(SrtpError::Authentication));
    }
    assert_eq!(Mki::new(256, 1), None);
    assert_eq!(Mki::new(1, 5), None);
    assert!(Mki::new(u32::MAX, 4).is_some());
}

#[test]
fn after_rekeying_the_counter_may_go_on_or_start_again() {
    let suite = Suite::AesCm128HmacSha1_80;
    let next = Seed::new([9; 32]).master_key(suite, None);
    for goes_on in [true, false] {
        let (mut protector, mut unprotector) = pair(&master(suite));
        for sequence in [65_000, 10] {
            let sent = protect(&mut protector, &rtp(sequence, 5));
            unprotect(&mut unprotector, &sent).unwrap();
        }
        let mut protector = Protector::new(next.clone()).unwrap().at(goes_on.then_some((1 << 16) + 10), 0);
        let mut unprotector = unprotector.rekeyed(next.clone()).unwrap();
        for sequence in 11..20 {
            let sent = protect(&mut protector, &rtp(sequence, 5));
            assert_eq!(unprotect(&mut unprotector, &sent), Ok(rtp(sequence, 5)), "goes on: {goes_on}");
        }
    }
}

#[test]
fn headers_with_csrc_and_extension_stay_readable() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(&master(suite));
        let mut packet = rtp(1, 5);
        packet[0] = 0x80 | 0x10 | 1;
        packet.splice(12..12, [1, 2, 3, 4, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9]);
        let sent = protect(&mut protector, &packet);
        assert_eq!(sent[..24], packet[..24]);
        assert_ne!(sent[24..184], packet[24..]);
        assert_eq!(unprotect(&mut unprotector, &sent), Ok(packet));
    }
}

#[test]
fn keys_are_masked_and_their_lengths_checked() {
    let master = master(Suite::AeadAes256Gcm);
    assert_eq!(format!("{master:?} {:?}", Seed::new([1; 32])), "MasterKey(AEAD_AES_256_GCM) Seed(*)");
    assert!(MasterKey::new(Suite::AesCm128HmacSha1_80, &[0; 29], None).is_none());
    assert!(MasterKey::new(Suite::AesCm128HmacSha1_80, &[0; 30], None).is_some());
    let [a, b] = [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32]
        .map(|suite| Seed::new([1; 32]).master_key(suite, None));
    assert_ne!(a.material(), b.material());
}

#[test]
fn a_buffer_without_room_and_impossible_lengths_are_errors() {
    for suite in Suite::ALL {
        let (mut protector, mut unprotector) = pair(&master(suite));
        let mut tight = [0x80; 20];
        assert_eq!(protector.protect_rtp(&mut tight, 20), Err(SrtpError::Length));
        assert_eq!(protector.protect_rtp(&mut tight, 21), Err(SrtpError::Length));
        assert_eq!(protector.protect_rtp(&mut tight, 11), Err(SrtpError::Length));
        assert_eq!(protector.protect_rtcp(&mut tight, 20), Err(SrtpError::Length));
        assert_eq!(unprotect(&mut unprotector, &[0x80; MAX_DATAGRAM + 1]), Err(SrtpError::Length));
        assert!(unprotect(&mut unprotector, &[0x80; 13]).is_err());
        assert!(unprotect_rtcp(&mut unprotector, &[0x80; 13]).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_quietly(bytes in proptest::collection::vec(any::<u8>(), 0..300), suite in 0usize..3) {
        let (_, mut unprotector) = pair(&master(Suite::ALL[suite]));
        prop_assert!(unprotect(&mut unprotector, &bytes).is_err());
        prop_assert!(unprotect_rtcp(&mut unprotector, &bytes).is_err());
    }
}
