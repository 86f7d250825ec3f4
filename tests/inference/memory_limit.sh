#!/usr/bin/env bash
# Under coopembed.memory_limit models take turns, the least recently used one leaving, and a model that is larger than the limit is an error.
source "$(dirname "$0")/../tools/inference_fixture.sh"
inference_cluster
start_service
twin=$(twin_of "$model")
ask -c "SELECT coop_load_model('twin', '$twin')" -c "ALTER DATABASE postgres SET coopembed.model = 'm'" >/dev/null
# Of a model that has seen one image at a time: larger batches have it keep larger buffers.
ask -c 'SELECT coop_worker_restart()' -c "$embed" >/dev/null
bytes=$(status model_bytes)
limit() { set_and_reload "ALTER SYSTEM SET coopembed.memory_limit = '$1kB'"; }
both="SELECT coop_embed(image) IS NOT NULL, coop_embed(image, 'twin') IS NOT NULL FROM one"
limit $((bytes * 3 / 2 / 1024))
expect 'two models take turns in the room for one' 't|t t|t' "$(ask -c "$both" -c "$both" | xargs)"
expect 'the least recently used one leaves' '1|4|3' "$(ask -c 'SELECT models, model_loads, model_evictions FROM coop_stat_worker')"
limit $((bytes * 5 / 2 / 1024))
ask -c "$both" -c "$both" >/dev/null
expect 'with room for two each is loaded once' '2|2|0' "$(ask -c 'SELECT models, model_loads, model_evictions FROM coop_stat_worker')"
limit 1024
expect_error 'a model that is larger than the limit is an error' 'ERROR:  the model is too large for the inference service' -c "$embed"
expect_in 'the HINT names the setting' 'HINT:  Raise coopembed.memory_limit' "$SCRATCH/error"
finish
