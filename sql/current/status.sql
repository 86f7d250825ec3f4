-- The inference service: its state and counters for monitoring, and its restart. src/pg/inference/status.rs implements them.

CREATE FUNCTION coop_status() RETURNS TABLE (name text, value bigint)
    AS 'MODULE_PATHNAME', 'coop_status_wrapper' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION coop_status() IS
    'counters of the inference service since its model process started, one row for each; only running = 0 before the first image';

-- Everything in one object, so that all columns of a view show the same moment.
CREATE FUNCTION coopembed.worker_stats() RETURNS jsonb
    AS 'MODULE_PATHNAME', 'worker_stats_wrapper' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION coopembed.worker_stats() IS 'internal: what coop_stat_worker and coop_stat_worker_batches show';

-- Always one row; every column but running is null while the service does not run. Counters and times start at zero with each new
-- model process, at stats_reset.
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
COMMENT ON VIEW coop_stat_worker IS
    'the inference service: one row of counters and total times since stats_reset; all columns but running are null before the first image';
COMMENT ON COLUMN coop_stat_worker.running IS 'whether the service runs; reading the view does not start it';
COMMENT ON COLUMN coop_stat_worker.supervisor_pid IS 'process id of the background worker that supervises the model process';
COMMENT ON COLUMN coop_stat_worker.model_process_pid IS 'process id of the process that holds the models';
COMMENT ON COLUMN coop_stat_worker.device IS 'device that computes: the name of a GPU, or cpu, with the reason if coopembed.device asks for another';
COMMENT ON COLUMN coop_stat_worker.stats_reset IS 'when the model process started, and its counters from zero';
COMMENT ON COLUMN coop_stat_worker.uptime IS 'how long the model process has run';
COMMENT ON COLUMN coop_stat_worker.restarts IS 'model processes that this supervisor replaced, for new settings or by coop_worker_restart()';
COMMENT ON COLUMN coop_stat_worker.crashes IS 'model processes of this supervisor that ended in any other way';
COMMENT ON COLUMN coop_stat_worker.connections IS 'sessions connected to the service now';
COMMENT ON COLUMN coop_stat_worker.models IS 'models in memory';
COMMENT ON COLUMN coop_stat_worker.model_bytes IS 'bytes that the models in memory take, including their buffers';
COMMENT ON COLUMN coop_stat_worker.memory_limit IS 'bytes that models may take; 0: no limit';
COMMENT ON COLUMN coop_stat_worker.model_loads IS 'models loaded into memory';
COMMENT ON COLUMN coop_stat_worker.model_evictions IS 'models evicted from memory to make room for others';
COMMENT ON COLUMN coop_stat_worker.queue_length IS 'images waiting in the queue now';
COMMENT ON COLUMN coop_stat_worker.requests IS 'images received';
COMMENT ON COLUMN coop_stat_worker.images IS 'images embedded';
COMMENT ON COLUMN coop_stat_worker.batches IS 'batches that models computed';
COMMENT ON COLUMN coop_stat_worker.largest_batch IS 'number of images in the largest batch';
COMMENT ON COLUMN coop_stat_worker.refused_queue_full IS 'images refused because coopembed.queue_length images were waiting already';
COMMENT ON COLUMN coop_stat_worker.expired_in_queue IS 'images given up after waiting for coopembed.queue_timeout';
COMMENT ON COLUMN coop_stat_worker.cancelled IS 'images whose session no longer waited when their turn came';
COMMENT ON COLUMN coop_stat_worker.errors IS 'images that the model could not embed';
COMMENT ON COLUMN coop_stat_worker.panics IS 'batches in which the model failed unexpectedly';
COMMENT ON COLUMN coop_stat_worker.decode_ms IS 'total milliseconds that sessions spent on decoding and resizing images';
COMMENT ON COLUMN coop_stat_worker.queue_ms IS 'total milliseconds that images waited in the queue';
COMMENT ON COLUMN coop_stat_worker.model_ms IS 'total milliseconds that models computed';

CREATE VIEW coop_stat_worker_batches AS
SELECT size, batches, images
FROM jsonb_to_recordset(coopembed.worker_stats() -> 'batch_sizes'::text) AS stats (size bigint, batches bigint, images bigint);
COMMENT ON VIEW coop_stat_worker_batches IS 'batches since stats_reset by size';
COMMENT ON COLUMN coop_stat_worker_batches.size IS 'a power of two: the row counts batches of at most this size and more than half of it';
COMMENT ON COLUMN coop_stat_worker_batches.batches IS 'number of batches of that size';
COMMENT ON COLUMN coop_stat_worker_batches.images IS 'number of images in those batches';

-- Everybody may read them, like the server's own statistics.
GRANT SELECT ON coop_stat_worker, coop_stat_worker_batches TO PUBLIC;

CREATE FUNCTION coop_worker_restart() RETURNS integer
    AS 'MODULE_PATHNAME', 'coop_worker_restart_wrapper' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000000;
REVOKE ALL ON FUNCTION coop_worker_restart() FROM PUBLIC;
COMMENT ON FUNCTION coop_worker_restart() IS
    'replaces the model process by a new one and returns its process id once it answers; requests under way are answered first. For superusers, until EXECUTE is granted';
