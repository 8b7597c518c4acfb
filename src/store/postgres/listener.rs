//! Hearing of changes of the directory.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::time::sleep;

/// Where changes are told.
pub(super) const CHANNEL: &str = "offhook_directory";
/// The pause before the server is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Listens until the pool is closed. What is told while the connection is away isn't heard: hence
/// after each new connection something is taken to have changed.
pub(super) async fn listen(pool: PgPool, changed: watch::Sender<u64>) {
    while !pool.is_closed() {
        if let Err(error) = hear(&pool, &changed).await
            && !pool.is_closed()
        {
            tracing::debug!(%error, "the database's notices can't be heard at the moment");
            sleep(PAUSE).await;
        }
    }
}

async fn hear(pool: &PgPool, changed: &watch::Sender<u64>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        changed.send_modify(|count| *count = count.wrapping_add(1));
        if listener.try_recv().await?.is_none() {
            tracing::debug!("the database hung up; listening again");
        }
    }
}
