//! What is shown, and who is let in.

use super::super::server::PostgresOptions;
use super::*;

#[tokio::test]
async fn the_password_is_in_no_error_and_in_no_debug_output() {
    let url = SERVER.database().await;
    let catalog = PostgresCatalog::open(&url).await.unwrap();
    let mut shown = vec![format!("{catalog:?}")];
    catalog.close().await;
    let closed = catalog.owners().await.unwrap_err();
    let wrong_user = PostgresCatalog::open(&url.replace("weir:", "nobody:")).await.unwrap_err();
    let wrong_database = PostgresCatalog::open(&format!("{url}_not")).await.unwrap_err();
    let nobody_there = url.replace(&format!(":{}/", SERVER.port()), ":1/");
    let refused = PostgresCatalog::open(&nobody_there).await.unwrap_err();
    for error in [closed, wrong_user, wrong_database, refused] {
        shown.push(format!("{error} {error:?}"));
    }
    assert!(shown[2].contains("password authentication failed"), "the cause is said: {}", shown[2]);
    for text in shown {
        assert!(!text.contains(SERVER.password()), "{text}");
    }
}

#[tokio::test]
async fn an_empty_database_is_read_by_nobody_and_another_version_by_none() {
    let url = SERVER.database().await;
    let early = PostgresCatalog::open_read_only(&url).await;
    assert!(matches!(early, Err(CatalogError::Version { found: 0, .. })), "{early:?}");
    let catalog = PostgresCatalog::open(&url).await.unwrap();
    let reader = PostgresCatalog::open_read_only(&url).await.unwrap();
    assert_eq!(reader.progress(&super::faults::partition()).await.unwrap(), Progress::default());
    let refused = reader.announce("a", "http://a", 0, Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(CatalogError::Query { .. })), "it is only read: {refused:?}");
    let change = sqlx::query("UPDATE weir_format SET version = 99");
    change.execute(catalog.write.as_ref().unwrap()).await.unwrap();
    for opened in [PostgresCatalog::open(&url).await, PostgresCatalog::open_read_only(&url).await] {
        assert!(matches!(opened, Err(CatalogError::Version { found: 99, .. })), "{opened:?}");
    }
}

#[tokio::test]
async fn a_schema_of_its_own_is_made_and_removed() {
    let database = SERVER.database().await;
    let url = format!("{database}?options[search_path]=mine");
    let catalog = PostgresCatalog::open(&url).await.unwrap();
    assert_eq!(catalog.owners().await.unwrap(), []);
    catalog.drop_schema().await.unwrap();
    assert!(PostgresCatalog::open_read_only(&url).await.is_err(), "it is gone");
    let shared = PostgresCatalog::open(&database).await.unwrap();
    assert!(matches!(shared.drop_schema().await, Err(CatalogError::Invalid(_))), "never the public one");
}

#[tokio::test]
async fn tls_is_used_as_the_url_says() {
    let options = PostgresOptions { tls: true, settings: Vec::new() };
    let server = PostgresServer::start_with(options);
    let encrypted = |mode: &str| {
        let url = server.url().replace("127.0.0.1", "localhost");
        let url = format!("{url}?sslmode={mode}&sslrootcert={}", server.certificate().display());
        async move {
            let catalog = PostgresCatalog::open(&url).await?;
            let ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            Ok::<bool, CatalogError>(sqlx::query_scalar(ssl).fetch_one(&catalog.read).await.unwrap())
        }
    };
    assert!(!encrypted("disable").await.unwrap());
    assert!(encrypted("require").await.unwrap());
    assert!(encrypted("verify-full").await.unwrap());
    // The certificate is for `localhost` and for nobody else.
    let url = format!("{}?sslmode=verify-full&sslrootcert={}", server.url(), server.certificate().display());
    let other = PostgresCatalog::open(&url).await;
    assert!(matches!(other, Err(CatalogError::Open { .. })), "{other:?}");
    let plain = PostgresCatalog::open(&format!("{}?sslmode=require", SERVER.url())).await;
    assert!(matches!(plain, Err(CatalogError::Open { .. })), "a server without TLS: {plain:?}");
}
