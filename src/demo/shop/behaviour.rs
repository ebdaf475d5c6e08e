//! What each service does when it is asked, and what goes wrong with it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::print::Level::{Error, Info, Warn};
use super::service::{Outcome, Service};
use super::span::ActiveSpan;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
const PAYMENT_PATIENCE: Duration = Duration::from_millis(300);

/// How often payment is asked for one order.
const ATTEMPTS: u32 = 3;

/// Payment's outages: the first soon, then one each minute.
const OUTAGE_FIRST: Duration = Duration::from_secs(2);
const OUTAGE_EVERY: Duration = Duration::from_secs(60);
const OUTAGE_LASTS: Duration = Duration::from_secs(5);

const UNAVAILABLE: &str = "payment declined: card issuer unavailable";

type Shared = State<Arc<Service>>;

/// The routes of a service.
pub(super) fn router(service: Arc<Service>) -> Router {
    let routes = match service.name() {
        "frontend" => Router::new()
            .route("/browse", post(browse))
            .route("/product", post(product))
            .route("/add", post(add))
            .route("/order", post(order)),
        "catalog" => Router::new().route("/products", post(products)).route("/lookup", post(lookup)),
        "cart" => Router::new().route("/items", post(items)).route("/total", post(total)),
        "checkout" => Router::new().route("/checkout", post(checkout)),
        "payment" => Router::new().route("/charge", post(charge)),
        "shipping" => Router::new().route("/ship", post(ship)),
        "inventory" => Router::new().route("/stock", post(stock)).route("/reserve", post(reserve)),
        _ => Router::new(),
    };
    routes.with_state(service)
}

fn sku(service: &Service) -> String {
    format!("sku-{}", service.chance(4_000))
}

/// Ends a request of the frontend: its status, its line.
fn reply(frontend: &Service, mut span: ActiveSpan, outcome: Outcome, what: &str) -> StatusCode {
    let status = match outcome {
        Outcome::Answered(status) if status.is_success() => StatusCode::OK,
        Outcome::Answered(StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE) => {
            StatusCode::BAD_GATEWAY
        }
        Outcome::Answered(status) => status,
        Outcome::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Outcome::Broken => StatusCode::BAD_GATEWAY,
    };
    span.set("http.response.status_code", status.as_u16().to_string());
    let user = format!("u{}", frontend.chance(900));
    let fields = [("status", status.as_u16().to_string()), ("user", user)];
    if status.is_success() {
        frontend.print(&span, Info, &format!("{what} done"), &fields);
    } else {
        span.fail(format!("{what} failed with {status}"));
        frontend.print(&span, Error, &format!("{what} failed"), &fields);
    }
    status
}

async fn browse(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let span = own.serve(&headers, "POST /browse");
    own.work(1, 4).await;
    let outcome = own.call(&span, "catalog", "/products", PATIENCE).await;
    reply(&own, span, outcome, "search")
}

async fn product(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let span = own.serve(&headers, "POST /product");
    let outcome = own.call(&span, "catalog", "/lookup", PATIENCE).await;
    own.work(1, 3).await;
    reply(&own, span, outcome, "product page")
}

async fn add(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let span = own.serve(&headers, "POST /add");
    let outcome = own.call(&span, "cart", "/items", PATIENCE).await;
    reply(&own, span, outcome, "add to cart")
}

async fn order(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let span = own.serve(&headers, "POST /order");
    own.work(1, 3).await;
    let outcome = own.call(&span, "checkout", "/checkout", PATIENCE).await;
    reply(&own, span, outcome, "order")
}

async fn products(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let span = own.serve(&headers, "POST /products");
    {
        let mut query = own.outside(&span, "SELECT products", "postgres");
        query.set("db.system.name", "postgresql");
        own.work(2, 12).await;
    }
    own.print(&span, Info, "products found", &[("count", own.chance(40).to_string())]);
    StatusCode::OK
}

async fn lookup(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let mut span = own.serve(&headers, "POST /lookup");
    let sku = sku(&own);
    {
        let mut query = own.outside(&span, "SELECT product", "postgres");
        query.set("db.system.name", "postgresql");
        own.work(1, 6).await;
    }
    if own.chance(100) == 0 {
        span.throw("KeyError", "'sku-4711'");
        own.print_failure(&span, "cannot render product", &[("sku", sku)]);
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let outcome = own.call(&span, "inventory", "/stock", PATIENCE).await;
    if !outcome.is_fine() {
        own.print(&span, Warn, "stock unknown", &[("sku", sku)]);
    } else {
        own.print(&span, Info, "product found", &[("sku", sku)]);
    }
    StatusCode::OK
}

async fn items(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let span = own.serve(&headers, "POST /items");
    let outcome = own.call(&span, "catalog", "/lookup", PATIENCE).await;
    if !outcome.is_fine() {
        own.print(&span, Warn, "price unknown, item not added", &[("sku", sku(&own))]);
        return StatusCode::BAD_GATEWAY;
    }
    {
        let mut set = own.outside(&span, "HSET", "redis");
        set.set("db.system.name", "redis");
        own.work(0, 2).await;
    }
    own.print(&span, Info, "item added", &[("sku", sku(&own))]);
    StatusCode::OK
}

async fn total(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let span = own.serve(&headers, "POST /total");
    {
        let mut get = own.outside(&span, "HGETALL", "redis");
        get.set("db.system.name", "redis");
        own.work(0, 2).await;
    }
    own.print(&span, Info, "total computed", &[("items", (1 + own.chance(6)).to_string())]);
    StatusCode::OK
}

async fn checkout(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let mut span = own.serve(&headers, "POST /checkout");
    let order = own.chance(90_000).to_string();
    let field = || [("order", order.clone())];
    span.set("shop.order", order.clone());
    {
        let _validating = own.inside(&span, "validate order");
        own.work(1, 4).await;
    }
    for (service, path) in [("cart", "/total"), ("inventory", "/reserve")] {
        if !own.call(&span, service, path, PATIENCE).await.is_fine() {
            span.fail(format!("{service} failed"));
            own.print(&span, Error, &format!("{service} failed, order is dropped"), &field());
            return StatusCode::BAD_GATEWAY;
        }
    }
    if let Err(why) = pay(&own, &span, &field()).await {
        span.throw("com.shop.payment.PaymentException", why);
        own.print_failure(&span, &format!("order failed: {why}"), &field());
        return StatusCode::BAD_GATEWAY;
    }
    if !own.call(&span, "shipping", "/ship", PATIENCE).await.is_fine() {
        span.fail("shipping failed");
        own.print(&span, Error, "order is paid and not shipped", &field());
        return StatusCode::BAD_GATEWAY;
    }
    own.print(&span, Info, "order placed", &field());
    StatusCode::OK
}

/// Asks payment a few times, if its breaker lets us.
async fn pay(
    own: &Arc<Service>,
    span: &ActiveSpan,
    order: &[(&'static str, String)],
) -> Result<(), &'static str> {
    for attempt in 1..=ATTEMPTS {
        if !own.is_permitted() {
            own.print(span, Warn, "payment not asked: circuit breaker is open", order);
            return Err("circuit breaker payment is open");
        }
        let outcome = own.call(span, "payment", "/charge", PAYMENT_PATIENCE).await;
        own.judge(!matches!(
            outcome,
            Outcome::TimedOut | Outcome::Broken | Outcome::Answered(StatusCode::SERVICE_UNAVAILABLE)
        ));
        match outcome {
            outcome if outcome.is_fine() => return Ok(()),
            Outcome::Answered(StatusCode::PAYMENT_REQUIRED) => return Err("payment declined"),
            _ if attempt < ATTEMPTS => {
                own.print(span, Warn, &format!("payment failed, attempt {attempt} of {ATTEMPTS}"), order);
                tokio::time::sleep(Duration::from_millis(30 << attempt)).await;
            }
            _ => {}
        }
    }
    Err("payment declined after 3 attempts")
}

/// Whether payment's issuer is away now.
fn is_outage(age: Duration) -> bool {
    let Some(since) = age.checked_sub(OUTAGE_FIRST) else { return false };
    let into = Duration::from_millis((since.as_millis() % OUTAGE_EVERY.as_millis()) as u64);
    into < OUTAGE_LASTS
}

async fn charge(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let mut span = own.serve(&headers, "POST /charge");
    let amount = [("amount", format!("{}.{:02}", 5 + own.chance(300), own.chance(100)))];
    let mut issuer = own.outside(&span, "authorise", "card-issuer");
    if is_outage(own.age()) {
        issuer.fail("connection refused");
        drop(issuer);
        // Some of its calls hang before they fail.
        if own.chance(3) == 0 {
            own.work(500, 800).await;
        }
        span.fail(UNAVAILABLE);
        own.print(&span, Error, UNAVAILABLE, &amount);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    own.work(8, 40).await;
    drop(issuer);
    if own.chance(50) == 0 {
        span.set("shop.declined", "insufficient funds");
        own.print(&span, Warn, "payment refused: insufficient funds", &amount);
        return StatusCode::PAYMENT_REQUIRED;
    }
    own.print(&span, Info, "payment authorised", &amount);
    StatusCode::OK
}

async fn ship(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let mut span = own.serve(&headers, "POST /ship");
    let parcel = [("parcel", format!("p{}", own.chance(1_000_000)))];
    if own.chance(8) == 0 {
        span.set("shop.slow", "true");
        own.print(&span, Warn, "carrier is slow to answer", &parcel);
        own.work(300, 900).await;
    } else {
        own.work(3, 15).await;
    }
    own.print(&span, Info, "parcel handed to carrier", &parcel);
    StatusCode::OK
}

async fn stock(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let span = own.serve(&headers, "POST /stock");
    own.work(0, 3).await;
    own.print(&span, Info, "stock read", &[("sku", sku(&own))]);
    StatusCode::OK
}

async fn reserve(State(own): Shared, headers: HeaderMap) -> StatusCode {
    let mut span = own.serve(&headers, "POST /reserve");
    own.work(1, 5).await;
    if own.chance(60) == 0 {
        span.throw("runtime.boundsError", "index out of range [7] with length 7");
        own.print_failure(&span, "cannot reserve stock", &[("sku", sku(&own))]);
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    own.print(&span, Info, "stock reserved", &[("sku", sku(&own))]);
    StatusCode::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_come_and_go() {
        let outages: Vec<u64> = (0..130).filter(|second| is_outage(Duration::from_secs(*second))).collect();
        assert_eq!(outages, [2, 3, 4, 5, 6, 62, 63, 64, 65, 66, 122, 123, 124, 125, 126]);
    }
}
