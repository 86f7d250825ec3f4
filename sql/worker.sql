-- The inference service as monitoring sees it, and its restart.

COMMENT ON FUNCTION coop_status() IS 'what the inference service is doing and did since its model process started';

-- One object, so that every column of the views comes from one look.
CREATE FUNCTION coopembed.worker_stats() RETURNS jsonb
    AS 'MODULE_PATHNAME', 'worker_stats_wrapper' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000;

-- One row, always; all but running is null while the service does not run. Counters and sums of time begin anew with each
-- model process: stats_reset says when.
CREATE VIEW coop_stat_worker AS
SELECT running, supervisor_pid, model_process_pid, device, to_timestamp(started_at) AS stats_reset,
       clock_timestamp() - to_timestamp(started_at) AS uptime, restarts, crashes, connections,
       models, model_bytes, memory_limit, model_loads, model_evictions,
       queue_length, requests, images, batches, largest_batch,
       refused_queue_full, expired_in_queue, cancelled, errors, panics, decode_ms, queue_ms, model_ms
FROM jsonb_to_record(coopembed.worker_stats()) AS stats (
    running boolean, supervisor_pid integer, model_process_pid integer, device text, started_at double precision,
    restarts bigint, crashes bigint, connections bigint,
    models bigint, model_bytes bigint, memory_limit bigint, model_loads bigint, model_evictions bigint,
    queue_length bigint, requests bigint, images bigint, batches bigint, largest_batch bigint,
    refused_queue_full bigint, expired_in_queue bigint, cancelled bigint, errors bigint, panics bigint,
    decode_ms double precision, queue_ms double precision, model_ms double precision);
COMMENT ON VIEW coop_stat_worker IS 'the inference service: one row of counters since stats_reset';
COMMENT ON COLUMN coop_stat_worker.running IS 'whether there is a service; looking does not start one';
COMMENT ON COLUMN coop_stat_worker.device IS 'what computes';
COMMENT ON COLUMN coop_stat_worker.stats_reset IS 'when the model process started, and its counters with it';
COMMENT ON COLUMN coop_stat_worker.restarts IS 'model processes of this supervisor that were replaced: new settings, coop_worker_restart()';
COMMENT ON COLUMN coop_stat_worker.crashes IS 'model processes of this supervisor that ended in another way';
COMMENT ON COLUMN coop_stat_worker.models IS 'models in memory';
COMMENT ON COLUMN coop_stat_worker.memory_limit IS 'bytes that they may take; 0: no limit';
COMMENT ON COLUMN coop_stat_worker.queue_length IS 'pictures that wait now';
COMMENT ON COLUMN coop_stat_worker.requests IS 'pictures that came';
COMMENT ON COLUMN coop_stat_worker.images IS 'pictures that were embedded';
COMMENT ON COLUMN coop_stat_worker.refused_queue_full IS 'pictures refused because coopembed.queue_length waited already';
COMMENT ON COLUMN coop_stat_worker.expired_in_queue IS 'pictures that waited for coopembed.queue_timeout';
COMMENT ON COLUMN coop_stat_worker.cancelled IS 'pictures whose session no longer waited when their turn came';
COMMENT ON COLUMN coop_stat_worker.errors IS 'pictures that the model could not embed';
COMMENT ON COLUMN coop_stat_worker.panics IS 'batches in which the model failed unexpectedly';
COMMENT ON COLUMN coop_stat_worker.decode_ms IS 'time that sessions spent on decoding and scaling pictures, all together';
COMMENT ON COLUMN coop_stat_worker.queue_ms IS 'time that pictures waited, all together';
COMMENT ON COLUMN coop_stat_worker.model_ms IS 'time that the model worked';

CREATE VIEW coop_stat_worker_batches AS
SELECT size, batches, images
FROM jsonb_to_recordset(coopembed.worker_stats() -> 'batch_sizes'::text) AS stats (size bigint, batches bigint, images bigint);
COMMENT ON VIEW coop_stat_worker_batches IS
    'batches since stats_reset by size, a power of two: those of more than half of it, up to it';

-- As the server's own statistics: for everybody to read.
GRANT SELECT ON coop_stat_worker, coop_stat_worker_batches TO PUBLIC;

CREATE FUNCTION coop_worker_restart() RETURNS integer
    AS 'MODULE_PATHNAME', 'coop_worker_restart_wrapper' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION coop_worker_restart() IS
    'replace the model process by a new one, whose process id is returned when it answers; what is under way is answered first';
REVOKE ALL ON FUNCTION coop_worker_restart() FROM PUBLIC;
