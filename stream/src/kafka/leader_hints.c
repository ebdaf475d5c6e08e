/*
 * What Kafka says in passing about new leaders is not heard.
 *
 * With an answer to a fetch or a produce that came to the wrong broker, Kafka says
 * who leads the partition now (KIP-951). Of partitions that have no leader at the
 * moment, as while a broker starts, librdkafka 2.12.1 counts the hint and leaves it
 * out: what takes the hints over then reads memory that nobody has written, takes
 * it for a partition's number, and may write there. An ingester died of it when a
 * broker came back. Up to 2.14 it is not mended:
 * https://github.com/confluentinc/librdkafka/issues/5280, and what becomes of such
 * a partition otherwise: https://github.com/confluentinc/librdkafka/issues/5430.
 *
 * So the linker is told (`--wrap`, in build.rs) to have this called instead. Nothing
 * is missed: the error that brings the hint has librdkafka ask for the topic's
 * metadata anyway, as all clients did before there were hints.
 *
 * The oracle is linked without: it reads Kafka, too, but not while it kills it.
 *
 * `hints.rs` tests it, and goes red when librdkafka names it otherwise. To be
 * removed when rdkafka-sys brings a librdkafka in which it is mended.
 */

/* `RD_KAFKA_OP_RES_HANDLED` of librdkafka's `rd_kafka_op_res_t`: the caller frees
 * the hints. */
enum { HANDLED = 1 };

int __wrap_rd_kafka_metadata_update_op(void *client, void *hints);

int __wrap_rd_kafka_metadata_update_op(void *client, void *hints) {
        (void)client;
        (void)hints;
        return HANDLED;
}
