//! Of questions to a running Weir.

use clap::Args;

/// A question to a running Weir.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The statement; `-` reads it from standard input.
    pub query: String,
    /// Where Weir serves.
    #[arg(long, default_value = "http://127.0.0.1:9700", env = "WEIR_URL")]
    pub url: String,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = SqlFormat::Table)]
    pub format: SqlFormat,
}

/// How `weir sql` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SqlFormat {
    /// Aligned columns.
    Table,
    /// One JSON object with columns and rows.
    Json,
    /// One JSON object per row.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

/// Which Weir, and how much of it.
#[derive(Debug, Args)]
pub struct DeliveryArgs {
    /// Where Weir serves.
    #[arg(long, default_value = "http://127.0.0.1:9700", env = "WEIR_URL")]
    pub url: String,
    /// Show this many sources, those of which something is missing first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rows: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
