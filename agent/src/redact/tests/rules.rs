//! What each rule finds, and what it leaves alone.

use super::*;

#[test]
fn addresses_of_people() {
    for line in [
        "login of ⟨bob@example.org⟩ from here",
        "⟨bob.smith+weir@mail.example.co.uk⟩",
        "to=⟨bob@example.org⟩, cc=<⟨al_ice-2@x-y.example.com⟩>; bcc=(⟨o'brien@example.org⟩).",
        "mailto:⟨a@b.io⟩?subject=x",
        r#"{"user":"⟨bob@example.org⟩","n":1}"#,
        r#"{"msg":"\n⟨bob@example.org⟩\t⟨eve@example.org⟩\"⟨x@example.org⟩\""}"#,
        r#"{"html":"\u003c⟨bob@example.org⟩\u003e"}"#,
        "GET /users/⟨bob%40example.org⟩/cart?u=⟨bob@example.org⟩&x=1",
        "GET /?mail=⟨a%40example.org⟩&to=⟨b@example.org⟩",
        "'⟨bob@example.org⟩' \"⟨bob@example.org⟩\" `⟨bob@example.org⟩`",
        "⟨müller@example.org⟩ ⟨иван@example.org⟩",
        "用户⟨bob@example.org⟩登录",
        "⟨x@xn--bcher-kva.example⟩ and ⟨y@example.xn--p1ai⟩.",
        "⟨a@b.example⟩,⟨c@d.example⟩;⟨e@f.example⟩",
        "⟨bob@example.org⟩-----BEGIN",
    ] {
        finds("email", line);
    }
    for line in [
        "root@localhost",
        "user@host-7",
        "left-pad@1.3.0",
        "icon@2x.png 200",
        "@Override",
        "a @ b.com",
        "user@",
        "@example.org",
        "x@y.z",
        "a@b..",
        "com.example.Foo@1a2b3c",
        "10 items @ 5.00 each",
        "image@sha256:abcdef",
        "@@@@",
        "a@-b.org",
        "====@====.====",
    ] {
        passes("email", line);
    }
}

#[test]
fn card_numbers() {
    for line in [
        "paid with ⟨4111111111111111⟩",
        "⟨4111 1111 1111 1111⟩ ⟨5555-5555-5555-4444⟩, ⟨3782 822463 10005⟩;",
        "⟨378282246310005⟩ ⟨6011111111111117⟩ ⟨30569309025904⟩ ⟨3530111333300000⟩ ⟨6200000000000005⟩",
        "⟨2223003122003222⟩ on 2026-11-29 01:02:03",
        "2026-11-29 ⟨4111 1111 1111 1111⟩ 2026",
        r#"{"pan":"⟨4111111111111111⟩","n":"\n⟨4111111111111111⟩"}"#,
        "card=⟨4111111111111111⟩,exp=12/30",
        "q=a%3D⟨4111111111111111⟩&b",
        "(⟨4111111111111111⟩).",
        "id: ⟨4222222222222⟩",
    ] {
        finds("card", line);
    }
    for line in [
        // A digit off.
        "4111111111111112",
        // A time, in ms, us and ns.
        "1764378203123 1764378203123456 1764378203123456789",
        "17643782031230 17643782031234",
        // Not a scheme's.
        "9111111111111111 0000000000000000 1111111111111117",
        // Parts of something else.
        "x4111111111111111 4111111111111111a 41111111111111110 94111111111111111111",
        "0.4111111111111111 4111111111111111.5",
        "550e8400-e29b-41d4-a716-446655440000 f47ac10b-58cc-4372-a567-4716446655440000",
        "4111 111 11111 1111",
        "4444444444444448x",
        r#"{"span_id":"4111111111111111","traceId":"4111111111111111"} parent_id=4111111111111111"#,
        "2026-11-29 01:02:03 2026-11-29 01:02:03",
        "                                        ",
        "----------------------------------------",
    ] {
        passes("card", line);
    }
}

#[test]
fn bank_accounts() {
    for line in [
        "to ⟨DE89370400440532013000⟩ now",
        "⟨GB82 WEST 1234 5698 7654 32⟩ and ⟨NO93 8601 1117 947⟩",
        r#"{"iban":"⟨FR1420041010050500013M02606⟩"}"#,
        "IBAN:⟨NL91ABNA0417164300⟩,⟨MT84MALT011000012345MTLCAST001S⟩",
        "HEADER ⟨DE89370400440532013000⟩ TRAILER",
        "IBAN ⟨DE89 3704 0044 0532 0130 00⟩ BIC COBADEFFXXX",
    ] {
        finds("iban", line);
    }
    for line in [
        "DE89370400440532013001",
        "DE8937040044053201300",
        "XDE89370400440532013000",
        "DE893704004405320130000",
        "ZZ89370400440532013000",
        "THE QUICK BROWN FOX JUMPS OVER 13 LAZY DOGS AND 12 OTHERS",
        "AKIAIOSFODNN7EXAMPLE",
    ] {
        passes("iban", line);
    }
}

#[test]
fn web_tokens() {
    for line in [
        format!("token ⟨{JWT}⟩ seen"),
        format!(r#"{{"t":"⟨{JWT}⟩"}}"#),
        format!("?jwt=⟨{JWT}⟩&x=1"),
        format!("⟨{JWT}⟩."),
        "⟨eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.⟩ unsigned".to_owned(),
        "⟨eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..5eym8TW_c8SuK0lt.SjPqUMQ.kz9mWrRzl5Q⟩".to_owned(),
    ] {
        finds("jwt", &line);
    }
    for line in ["eyJ", "eyJhbGciOiJIUzI1NiJ9", "KeyJournal.part.two", "eyJx.eyJy.z", &format!("a{JWT}")] {
        passes("jwt", line);
    }
}

#[test]
fn credentials_of_http() {
    for line in [
        "Authorization: Bearer ⟨mF_9.B5f-4.1JqM⟩",
        "authorization=Bearer ⟨short⟩",
        "got bearer ⟨0123456789abcdef⟩, sent on",
        r#"{"headers":{"Authorization":"Bearer ⟨abc⟩","x":1}}"#,
        r#"{"headers":{"authorization":["Bearer ⟨abcdef0123⟩"]}}"#,
        r#"{"m":"\"Authorization\": \"Bearer ⟨abc⟩\""}"#,
        "Proxy-Authorization: ⟨0123456789abcdef⟩",
        "BEARER ⟨AbCdEf0123456789⟩",
    ] {
        finds("bearer", line);
    }
    for line in [
        "bearer token expired",
        "Bearer authentication required",
        "authorization: failed",
        "the bearer of bad news",
        "authorization required",
        "Authorization: Basic dXNlcjpwYXNz",
    ] {
        passes("bearer", line);
    }
    for line in [
        "Authorization: Basic ⟨dXNlcjpwYXNzd29yZA==⟩",
        "basic ⟨dXNlcjpwYXNz⟩ sent",
        r#"{"h":"Basic ⟨dXNlcjpwYXNzd29yZA==⟩"}"#,
        "postgres://weir:⟨hunter2⟩@db.example.org/weir",
        "https://bob:⟨p@ss⟩@example.org/x",
        r#"{"url":"redis://:⟨hunter2⟩@cache:6379/0"}"#,
    ] {
        finds("basic", line);
    }
    for line in [
        "basic authentication",
        "a basic test",
        "Basic dXNlcg==",
        "https://example.org:8080/a@b:c",
        "http://bob@example.org/",
        "://x:y@z",
        "see https://example.org/?q=a:b@c",
    ] {
        passes("basic", line);
    }
}

#[test]
fn keys_of_clouds() {
    let forty = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let azure = format!("{}==", "a".repeat(86));
    for line in [
        "key ⟨AKIAIOSFODNN7EXAMPLE⟩ used".to_owned(),
        format!("aws_secret_access_key = ⟨{forty}⟩"),
        format!(r#"{{"SecretAccessKey":"⟨{forty}⟩"}}"#),
        "⟨ASIAIOSFODNN7EXAMPLE⟩:x".to_owned(),
        format!("https://maps.example.com/?key=⟨AIza{}⟩", "B".repeat(35)),
        format!("⟨ya29.{}⟩", "a0Af".repeat(10)),
        format!("DefaultEndpointsProtocol=https;AccountName=x;AccountKey=⟨{azure}⟩;EndpointSuffix=core"),
        format!("Endpoint=sb://x/;SharedAccessKeyName=k;SharedAccessKey=⟨{}=⟩", "b".repeat(43)),
        format!("https://x.blob.example/c?sv=2024&sig=⟨{}%3D⟩&se=2", "Ab1".repeat(14)),
        format!("⟨ghp_{}⟩ ⟨gho_{}⟩", "a1".repeat(18), "b2".repeat(18)),
        format!("⟨github_pat_{}⟩", "11A".repeat(20)),
        format!("⟨glpat-{}⟩.", "x1".repeat(10)),
        "⟨xoxb-123456789012-abcdefGHIJ⟩ ⟨xoxp-1-2-3-abcdef0123⟩".replace(' ', ", "),
        format!("⟨xapp-1-{}⟩", "A1".repeat(12)),
        format!("https://hooks.slack.com/services/⟨T0{}/B0/{}⟩", "A".repeat(8), "c".repeat(12)),
        format!("⟨sk_live_{}⟩ ⟨rk_test_{}⟩", "a1".repeat(12), "b2".repeat(12)),
        format!("⟨whsec_{}⟩", "Zz9".repeat(8)),
    ] {
        finds("cloud_key", &line);
    }
    for line in [
        "AKIA",
        "AKIAIOSFODNN7EXAMPLEX",
        "XAKIAIOSFODNN7EXAMPLE",
        "AKIAiosfodnn7example",
        "AIzaShort",
        "ghp_short",
        "sig=abc",
        "a task_live_0123456789ab",
        "pk_live_0123456789abcdef",
        "xoxo-hugs-and-kisses",
        "secret santa",
        "password=hunter2",
        "AccountKey=short;",
    ] {
        passes("cloud_key", line);
    }
}

#[test]
fn private_keys() {
    let plain = pem("PRIVATE KEY", "\n");
    let escaped = pem("RSA PRIVATE KEY", "\\n");
    let twice = pem("EC PRIVATE KEY", "\\\\n");
    for line in [
        format!("loaded ⟨{plain}⟩ from disk"),
        format!(r#"{{"key":"⟨{escaped}⟩\n","n":1}}"#),
        format!(r#"{{"m":"{{\"key\":\"⟨{twice}⟩\"}}"}}"#),
        format!("⟨{}⟩", pem("ENCRYPTED PRIVATE KEY", "\r\n")),
        format!("⟨{}⟩", pem("OPENSSH PRIVATE KEY", " ")),
        format!("⟨{}⟩", pem("PGP PRIVATE KEY BLOCK", "\n")),
        // Without its end, as far as it goes.
        r#"{"key":"⟨-----BEGIN PRIVATE KEY-----\nMIIE⟩","other":"kept"}"#.to_owned(),
        "⟨-----BEGIN PRIVATE KEY-----\nMIIEvQ⟩".to_owned(),
    ] {
        finds("private_key", &line);
    }
    for line in
        [&pem("PUBLIC KEY", "\n"), &pem("CERTIFICATE", "\n"), "-----BEGIN PRIVATE KEY", "-----BEGIN x-----"]
    {
        passes("private_key", line);
    }
}

#[test]
fn names_and_their_values() {
    for line in [
        "password=⟨hunter2⟩ user=bob",
        "user=x,password=⟨a,b⟩,host=y",
        "Password: ⟨hunter2⟩",
        "db_pass=⟨x⟩ smtpPass: ⟨y⟩ DB_PASSWORD=⟨z⟩ PGPASSWORD=⟨w⟩",
        r#"password="⟨two words⟩" x"#,
        r#"password='⟨two "words"⟩' x"#,
        r#"{"password":"⟨a\"b\\⟩","user":"bob"}"#,
        r#"{"clientSecret" : "⟨x⟩","refresh_token":"⟨y⟩","x-api-key":"⟨z⟩"}"#,
        r#"{"msg":"login password=⟨hunter2⟩"}"#,
        r#"{"msg":"password=⟨hunter2⟩\nuser=bob"}"#,
        r#"{"msg":"body {\"password\":\"⟨a\\\"b⟩\",\"user\":\"bob\"}"}"#,
        r#"{"msg":"{\"a\":\"{\\\"token\\\":\\\"⟨x⟩\\\"}\"}"}"#,
        "?token=⟨abc⟩&next=/home",
        "user[password]=⟨hunter2⟩&user[name]=bob",
        "password%3D⟨hunter2⟩%26user%3Dbob",
        "{'password': '⟨x⟩', 'n': 1}",
        "run --password ⟨hunter2⟩ --user bob",
        "run --api-key=⟨hunter2⟩",
        "<password>⟨hunter2⟩</password>",
        "token=⟨Bearer abc.def⟩ x",
        "User(name=bob, password=⟨abc⟩), next",
        "secret => ⟨x⟩",
        "a.b.credentials := ⟨x⟩;",
        r#"password=⟨p\a\ss⟩ x"#,
        "ansible_password=⟨ä⟩ x",
        r#"{"a":"b","password=⟨x⟩":"c"}"#,
        r#"{"password":["⟨x⟩"]}"#.replace("[\"⟨x⟩\"]", "⟨[1]⟩").replace("⟨[1]⟩", "\"⟨x⟩\"").as_str(),
        r#"{password:"⟨x⟩"}"#,
        "password: \"⟨open\n⟩next".replace("\n⟩", "⟩\n").as_str(),
    ] {
        finds("password", line);
    }
    for line in [
        "password reset requested",
        "tokens=512 max_tokens: 1024",
        "the secret of success",
        "token_type=x",
        "password",
        "password=",
        "password: ",
        r#"{"password":""}"#,
        r#"{"password":null,"token":true}"#,
        "if password == null",
        "std::token::Kind",
        "secret://vault/x",
        "compass=north bypass=1",
        "pass=12 fail=0",
        "PWD=/home/app",
        "password=********",
        "keyboard=x key=y",
        r#"{"msg":"enter password","x":"y"}"#,
        r#"{"msg":"password=","x":"y"}"#,
        r#"{"msg":"wrong password:","x":"y"}"#,
        r#"{"secret":{"name":"x"}}"#,
        "passwords: 3",
        "--password",
        "--password --user",
    ] {
        passes("password", line);
    }
}

#[test]
fn addresses_of_hosts() {
    for line in [
        "⟨10.0.0.1⟩ - - [29/Nov/2026] \"GET / HTTP/1.1\"",
        "from ⟨192.168.1.10⟩:8080, to ⟨::1⟩ and [⟨2001:db8::1⟩]:443.",
        "⟨2001:db8:0:0:0:0:0:1⟩ ⟨::ffff:10.0.0.1⟩ at ⟨fe80::1⟩",
        r#"{"ip":"⟨10.1.2.3⟩"}"#,
        "⟨1.2.3.4⟩.",
    ] {
        finds("ip", line);
    }
    for line in [
        "1.2.3",
        "1.2.3.4.5",
        "v1.2.3.4",
        "256.1.1.1",
        "12:34:56",
        "aa:bb:cc:dd:ee:ff",
        "a::b::c",
        "std::cmp",
        "x ::",
        "1.2.3.x",
    ] {
        passes("ip", line);
    }
}

#[test]
fn fields_by_their_names() {
    let redactor = redactor(r#"{"keys": ["ssn", "*_email", "user.phone", "birth*"]}"#);
    let check = |input: &str, expected: &str| {
        assert_eq!(text(&redactor, input), expected);
        assert_eq!(text(&redactor, expected), expected, "a second time");
    };
    check("ssn=123-45-6789 x=1", "ssn=[redacted:keys] x=1");
    check("SSN: 1", "SSN: [redacted:keys]");
    check(r#"{"ssn":123456789,"a":1}"#, r#"{"ssn":"[redacted:keys]","a":1}"#);
    check(r#"{"ssn":true,"a":{"ssn":null}}"#, r#"{"ssn":"[redacted:keys]","a":{"ssn":null}}"#);
    check(r#"{"birthday":{"y":[1,"}"],"m":2},"z":0}"#, r#"{"birthday":"[redacted:keys]","z":0}"#);
    check(r#"{"m":"{\"ssn\":[1,\"]\"],\"z\":0}"}"#, r#"{"m":"{\"ssn\":\"[redacted:keys]\",\"z\":0}"}"#);
    check("home_email=a b_email='c d'", "home_email=[redacted:keys] b_email='[redacted:keys]'");
    check(
        "user.phone=1 userxphone=2 email=3 assn=4 ssn",
        "user.phone=[redacted:keys] userxphone=2 email=3 assn=4 ssn",
    );
}

#[test]
fn the_operators_expressions() {
    let redactor = redactor(
        r#"{"patterns": [{"name": "order", "regex": "ord-[0-9]{4}"}, {"name": "who", "regex": "for=(\\w+)"}, {"name": "digits", "regex": "\\b[0-9]{6}\\b"}]}"#,
    );
    let check = |input: &str, expected: &str| assert_eq!(text(&redactor, input), expected);
    check("ord-1234 for=bob", "[redacted:order] for=[redacted:who]");
    check(
        r#"{"n":123456,"m":-123456.5,"s":"123456"}"#,
        r#"{"n":"[redacted:digits]","m":"[redacted:digits]","s":"[redacted:digits]"}"#,
    );
    check("[info] 123456", "[info] [redacted:digits]");
    check("ord-12", "ord-12");
}
