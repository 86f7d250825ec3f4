-- The inference service as monitoring sees it, and its restart.

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

CREATE VIEW coop_stat_worker_batches AS
SELECT size, batches, images
FROM jsonb_to_recordset(coopembed.worker_stats() -> 'batch_sizes'::text) AS stats (size bigint, batches bigint, images bigint);

-- As the server's own statistics: for everybody to read.
GRANT SELECT ON coop_stat_worker, coop_stat_worker_batches TO PUBLIC;

CREATE FUNCTION coop_worker_restart() RETURNS integer
    AS 'MODULE_PATHNAME', 'coop_worker_restart_wrapper' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000000;
REVOKE ALL ON FUNCTION coop_worker_restart() FROM PUBLIC;
