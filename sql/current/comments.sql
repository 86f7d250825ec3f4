-- What psql's \dx+, \df+, \dT+ and \d+ say about everything that the extension makes, in one file: an upgrade script runs it whole.
-- tests/regress/sql/documentation.sql fails where something has no comment.

COMMENT ON SCHEMA coopembed IS 'the models of the coopembed extension, and what its functions are made of';

COMMENT ON TYPE coopvec IS
    'embedding of a picture: K subspaces of n half-precision numbers, each of unit length, one for each attribute of its model, whose fingerprint it carries; 16 + 2 K n bytes';
COMMENT ON TYPE coopquery IS
    'question about embeddings: for each subspace a target and a weight (0: does not matter), and a constant; distance^2 = c + sum of w ||target - embedding||^2';

-- Operators, and the functions that they call.
COMMENT ON OPERATOR <-> (coopvec, coopquery) IS 'how far an embedding is from what a query asks for; an error (22000) if their models differ. Served by USING coop';
COMMENT ON OPERATOR <-> (coopvec, coopvec) IS 'distance of two embeddings in all subspaces; an error (22000) if their models differ. Served by USING coop';
COMMENT ON OPERATOR <-> (coopquery, coopvec) IS 'how far an embedding is from what a query asks for';
COMMENT ON OPERATOR + (coopquery, coopquery) IS 'both wishes: weights add up, targets in one subspace become their weighted mean';
COMMENT ON OPERATOR * (double precision, coopquery) IS 'the wish, that many times as important; the number must be positive and finite';
COMMENT ON OPERATOR * (coopquery, double precision) IS 'the wish, that many times as important; the number must be positive and finite';
COMMENT ON OPERATOR = (coopvec, coopvec) IS 'the same model and the same bits';
COMMENT ON OPERATOR <> (coopvec, coopvec) IS 'another model or other bits';
COMMENT ON FUNCTION coop_distance(coopvec, coopvec) IS 'implementation of the <-> operator';
COMMENT ON FUNCTION coop_distance(coopvec, coopquery) IS 'implementation of the <-> operator';
COMMENT ON FUNCTION coop_distance(coopquery, coopvec) IS 'implementation of the <-> operator';
COMMENT ON FUNCTION coop_plus(coopquery, coopquery) IS 'implementation of the + operator';
COMMENT ON FUNCTION coop_scale(double precision, coopquery) IS 'implementation of the * operator';
COMMENT ON FUNCTION coop_scale(coopquery, double precision) IS 'implementation of the * operator';
COMMENT ON FUNCTION coopvec_eq(coopvec, coopvec) IS 'implementation of the = operator';
COMMENT ON FUNCTION coopvec_ne(coopvec, coopvec) IS 'implementation of the <> operator';
COMMENT ON FUNCTION coopvec_hash(coopvec) IS 'hash';
COMMENT ON FUNCTION coopvec_hash_extended(coopvec, bigint) IS 'hash';
COMMENT ON FUNCTION coop_fold_support(internal) IS 'planner support: a call whose arguments are the same for all rows is evaluated once for the statement';

-- Input, output and casts.
COMMENT ON FUNCTION coopvec_in(cstring) IS 'I/O';
COMMENT ON FUNCTION coopvec_out(coopvec) IS 'I/O';
COMMENT ON FUNCTION coopvec_recv(internal) IS 'I/O';
COMMENT ON FUNCTION coopvec_send(coopvec) IS 'I/O';
COMMENT ON FUNCTION coopquery_in(cstring) IS 'I/O';
COMMENT ON FUNCTION coopquery_out(coopquery) IS 'I/O';
COMMENT ON FUNCTION coopquery_recv(internal) IS 'I/O';
COMMENT ON FUNCTION coopquery_send(coopquery) IS 'I/O';
COMMENT ON FUNCTION coopquery(coopvec) IS 'query: like this one in everything, each subspace with weight 1';
COMMENT ON FUNCTION coopvec_to_float4_array(coopvec) IS 'the K n numbers of an embedding, subspace after subspace';
COMMENT ON CAST (coopvec AS coopquery) IS 'like this one in everything; exact';
COMMENT ON CAST (coopvec AS real[]) IS 'the numbers, exact; the model''s fingerprint is lost';
COMMENT ON CAST (real[] AS coopvec) IS 'numbers of the default model, as coop_vector(real[]) takes them; explicit only';

-- Index.
COMMENT ON ACCESS METHOD coop IS 'nearest embeddings in any subspaces with any weights, exact';
COMMENT ON OPERATOR FAMILY coopvec_ops USING coop IS 'ORDER BY embedding <-> query or embedding';
COMMENT ON OPERATOR CLASS coopvec_ops USING coop IS
    'ORDER BY embedding <-> query or embedding; WITH (tail_rows = N): how many new rows wait until they are packed, 2048';
COMMENT ON OPERATOR FAMILY coopvec_hash_ops USING hash IS 'equality of bits';
COMMENT ON OPERATOR CLASS coopvec_hash_ops USING hash IS 'equality of bits, for hash joins, GROUP BY and DISTINCT';
COMMENT ON FUNCTION coop_handler(internal) IS 'coop index access method handler';
COMMENT ON FUNCTION coop_index_check(regclass) IS
    'compares an index with its table: how many rows were compared, or an error (XX002) that says what is damaged; for the index''s owner';
COMMENT ON FUNCTION coop_last_scan() IS
    'the last index scan of this session: rows that the index had, whose distance was bounded, whose was computed closely, and that were returned; no row before the first scan';

-- Models.
COMMENT ON FUNCTION coop_load_model(text, text) IS
    'loads the model in a directory (absolute path) that the server can read, under a name that is free; returns its fingerprint, 8 hexadecimal digits. For superusers and pg_read_server_files';
COMMENT ON FUNCTION coop_load_model(text, text, bytea) IS
    'loads a model from the contents of its config.json and model.safetensors, under a name that is free; returns its fingerprint. For superusers, until granted';
COMMENT ON FUNCTION coop_drop_model(text) IS
    'forgets a model; embeddings made with it stay and can still be compared with each other. For superusers, until granted';
COMMENT ON FUNCTION coop_models() IS
    'the loaded models: fingerprint, number and size of subspaces, words, backbone, side of its pictures in pixels, whether it is the default, bytes of its weights';
COMMENT ON FUNCTION coop_attributes() IS 'the attributes of the default model: one subspace each, in this order';
COMMENT ON FUNCTION coop_attributes(text) IS 'the attributes of a model: one subspace each, in this order';
COMMENT ON FUNCTION coop_attribute_values(text) IS
    'the values of an attribute of the default model: training images that showed it, whether it can be asked for, whether it was defined by coop_define_attribute_value()';
COMMENT ON FUNCTION coop_attribute_values(text, text) IS 'the values of an attribute of a model: as of the default model';
COMMENT ON FUNCTION coop_categories() IS
    'the categories of the default model: training images of it, whether it can be asked for, whether it was defined by coop_define_category()';
COMMENT ON FUNCTION coop_categories(text) IS 'the categories of a model: as of the default model';
COMMENT ON FUNCTION coop_define_attribute_value(text, text, coopquery) IS
    'a new value of an attribute: what the query asks for in its subspace. For superusers, until granted';
COMMENT ON FUNCTION coop_define_attribute_value(text, text, coopvec) IS
    'a new value of an attribute by example: an embedding, or avg() of several. For superusers, until granted';
COMMENT ON FUNCTION coop_define_category(text, coopquery) IS 'a new category: what the query asks for. For superusers, until granted';
COMMENT ON FUNCTION coop_define_category(text, coopvec) IS
    'a new category by example: an embedding, or avg() of several. For superusers, until granted';
COMMENT ON FUNCTION coop_drop_attribute_value(text, text) IS
    'forgets a value of the default model that coop_define_attribute_value() made; trained ones cannot be dropped';
COMMENT ON FUNCTION coop_drop_attribute_value(text, text, text) IS
    'forgets a value of a model that coop_define_attribute_value() made; trained ones cannot be dropped';
COMMENT ON FUNCTION coop_drop_category(text) IS
    'forgets a category of the default model that coop_define_category() made; trained ones cannot be dropped';
COMMENT ON FUNCTION coop_drop_category(text, text) IS
    'forgets a category of a model that coop_define_category() made; trained ones cannot be dropped';

-- Embedding.
COMMENT ON FUNCTION coop_embed(bytea) IS
    'the embedding of a picture (JPEG, PNG, WebP, GIF, BMP, TIFF) by the default model; errors: 22000 not decodable, 54000 too large, 53000 the service is full or coopembed.queue_timeout passed';
COMMENT ON FUNCTION coop_embed(bytea, text) IS 'the embedding of a picture by the model of that name; errors as by the default model';
COMMENT ON FUNCTION coop_vector(real[]) IS
    'numbers computed elsewhere as an embedding of the default model, as they are: as many as its subspaces have together, not normalised';
COMMENT ON FUNCTION coop_vector(real[], text) IS
    'numbers computed elsewhere as an embedding of a model, as they are: as many as its subspaces have together, not normalised';
COMMENT ON PROCEDURE coop_embed_table(regclass, name, name, text, integer) IS
    'embeds the rows that have a picture and no embedding of the model (null: the default one), with a commit after each batch of rows; undecodable pictures are warnings. Cancel and call again at will';
COMMENT ON FUNCTION coop_embed_trigger() IS
    'CREATE TRIGGER ... BEFORE INSERT OR UPDATE ... FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger(image_column, emb_column [, model]): embeds new and changed pictures';
COMMENT ON VIEW coop_embed_progress IS
    'how far coop_embed_table() is: one row for each session that embeds a table of this database, or was the last to';
COMMENT ON COLUMN coop_embed_progress.relation IS 'the table that was named';
COMMENT ON COLUMN coop_embed_progress.pid IS 'process id of the session';
COMMENT ON COLUMN coop_embed_progress.model IS 'name of the model';
COMMENT ON COLUMN coop_embed_progress.state IS 'running, finished, or interrupted';
COMMENT ON COLUMN coop_embed_progress.total IS 'rows that had no embedding of the model at the start';
COMMENT ON COLUMN coop_embed_progress.done IS 'rows embedded and committed';
COMMENT ON COLUMN coop_embed_progress.failed IS 'rows whose picture could not be embedded';
COMMENT ON COLUMN coop_embed_progress.locked IS 'rows left out because another session held them';
COMMENT ON COLUMN coop_embed_progress.started IS 'when the run began';
COMMENT ON COLUMN coop_embed_progress.updated IS 'when its last batch was committed, or it finished';
COMMENT ON COLUMN coop_embed_progress.per_second IS 'rows embedded a second, on average';

-- Queries.
COMMENT ON FUNCTION coop_attr_query(text, text) IS
    'query: this value of this attribute of the default model, whatever else; an error (42704) with the nearest known names if there is none such';
COMMENT ON FUNCTION coop_attr_query(text, text, text) IS 'query: this value of this attribute of a model, whatever else';
COMMENT ON FUNCTION coop_category_query(text) IS 'query: this category of the default model';
COMMENT ON FUNCTION coop_category_query(text, text) IS 'query: this category of a model';
COMMENT ON FUNCTION coop_like(coopvec) IS 'query: like this one in everything';
COMMENT ON FUNCTION coop_like(coopvec, text[]) IS 'query: like this one in these attributes, whatever else';
COMMENT ON FUNCTION coop_replace(coopvec, text, text) IS 'this one, but with this value of this attribute';
COMMENT ON FUNCTION coop_replace(coopvec, coopquery) IS 'this one, but as the query wishes where it has a weight';
COMMENT ON FUNCTION coop_blend(coopvec, coopvec, text[]) IS 'the first, but in these attributes as the second';
COMMENT ON FUNCTION coop_subspace(coopvec, text) IS 'the n numbers of an embedding in the subspace of an attribute';
COMMENT ON FUNCTION coop_explain(coopvec, coopquery) IS
    'what each attribute adds to the square of embedding <-> query; without attribute: what no embedding can avoid';
COMMENT ON FUNCTION coop_explain(coopvec, coopvec) IS 'what each attribute adds to the square of embedding <-> other';
COMMENT ON AGGREGATE avg(coopvec) IS 'the mean of embeddings of one model, not normalised; NULLs do not count, of no rows it is NULL';
COMMENT ON FUNCTION coopvec_avg_accum(internal, coopvec) IS 'aggregate transition function';
COMMENT ON FUNCTION coopvec_avg_combine(internal, internal) IS 'aggregate combine function';
COMMENT ON FUNCTION coopvec_avg_serial(internal) IS 'aggregate serial function';
COMMENT ON FUNCTION coopvec_avg_deserial(bytea, internal) IS 'aggregate deserial function';
COMMENT ON FUNCTION coopvec_avg_final(internal) IS 'aggregate final function';

-- Tags.
COMMENT ON FUNCTION coop_predict(coopvec, text) IS
    'the values of an attribute that an embedding may show, likeliest first, with probabilities; a null value: none of them';
COMMENT ON FUNCTION coop_predict_category(coopvec) IS 'the categories that an embedding may be of, likeliest first, with probabilities';
COMMENT ON FUNCTION coop_tags(coopvec) IS
    'the likeliest value of each attribute and the likeliest category: {"attributes": {name: {"value", "probability"}}, "category": {"value", "probability"}}';

-- A table as a whole.
COMMENT ON FUNCTION coop_typicality(regclass, name, name, name) IS
    'how far each row is from the mean of its label, and its rank: typical ones first, atypical ones last; rows without label or embedding are left out';
COMMENT ON FUNCTION coop_duplicates(regclass, name, name, double precision) IS
    'pairs of rows that are no further apart than the threshold, each once; rows without id in none. Wants an index USING coop';
COMMENT ON AGGREGATE coop_average_precision(boolean) IS
    'average precision of rows in the order of a distance: coop_average_precision(relevant ORDER BY emb <-> query); null if none is relevant';
COMMENT ON AGGREGATE coop_recall_at(boolean, integer) IS
    'recall at K of rows in the order of a distance: 1 if a relevant one is among the first K, else 0; null if none is relevant';
COMMENT ON FUNCTION coop_transition(regclass, name, name, anycompatible, anycompatible, text, integer, regclass) IS
    'the shortest path from an image to another by their k nearest neighbours, in everything or in one attribute, in a kept graph or one made for the statement; its longest hop is the crossing';
COMMENT ON FUNCTION coop_transition_to(regclass, name, name, anycompatible, coopquery, text, integer, regclass) IS
    'the same to what a query asks for, say a category; its last row has no id';
COMMENT ON PROCEDURE coop_build_knn(regclass, name, name, text, integer, text) IS
    'builds or refreshes a table of each row''s k nearest neighbours (1 to 1000), in everything or in one attribute; commits as it goes, resumes, and shares work between sessions';
COMMENT ON FUNCTION coop_knn_graphs() IS
    'the graphs of coop_build_knn(): of what they are, how many images they have, and how many wait to be computed';

-- Service.
COMMENT ON FUNCTION coop_version() IS
    'version of the library that this session runs; a warning if the SQL objects of this database (pg_extension.extversion) are of another: then ALTER EXTENSION coopembed UPDATE, or reconnect';
COMMENT ON FUNCTION coop_status() IS
    'what the inference service is doing and did since its model process started, name by name; running 0 and nothing else before the first picture';
COMMENT ON FUNCTION coop_worker_restart() IS
    'replaces the model process by a new one, whose process id is returned when it answers; what is under way is answered first. For superusers, until granted';
COMMENT ON VIEW coop_stat_worker IS
    'the inference service: one row of counters and sums of time since stats_reset; all but running is null before the first picture';
COMMENT ON COLUMN coop_stat_worker.running IS 'whether there is a service; looking does not start one';
COMMENT ON COLUMN coop_stat_worker.supervisor_pid IS 'process id of the background worker that keeps the model process';
COMMENT ON COLUMN coop_stat_worker.model_process_pid IS 'process id of the process that holds the models';
COMMENT ON COLUMN coop_stat_worker.device IS 'what computes: cpu, with the reason if that is not what coopembed.device asks for, or a GPU''s name';
COMMENT ON COLUMN coop_stat_worker.stats_reset IS 'when the model process started, and its counters with it';
COMMENT ON COLUMN coop_stat_worker.uptime IS 'how long the model process has run';
COMMENT ON COLUMN coop_stat_worker.restarts IS 'model processes of this supervisor that were replaced: new settings, coop_worker_restart()';
COMMENT ON COLUMN coop_stat_worker.crashes IS 'model processes of this supervisor that ended in another way';
COMMENT ON COLUMN coop_stat_worker.connections IS 'sessions connected to the service now';
COMMENT ON COLUMN coop_stat_worker.models IS 'models in memory';
COMMENT ON COLUMN coop_stat_worker.model_bytes IS 'bytes that they take, their buffers included';
COMMENT ON COLUMN coop_stat_worker.memory_limit IS 'bytes that they may take; 0: no limit';
COMMENT ON COLUMN coop_stat_worker.model_loads IS 'models brought into memory';
COMMENT ON COLUMN coop_stat_worker.model_evictions IS 'models that left to make room for others';
COMMENT ON COLUMN coop_stat_worker.queue_length IS 'pictures that wait now';
COMMENT ON COLUMN coop_stat_worker.requests IS 'pictures that came';
COMMENT ON COLUMN coop_stat_worker.images IS 'pictures that were embedded';
COMMENT ON COLUMN coop_stat_worker.batches IS 'batches that went through a network';
COMMENT ON COLUMN coop_stat_worker.largest_batch IS 'pictures in the largest of them';
COMMENT ON COLUMN coop_stat_worker.refused_queue_full IS 'pictures refused because coopembed.queue_length waited already';
COMMENT ON COLUMN coop_stat_worker.expired_in_queue IS 'pictures that waited for coopembed.queue_timeout';
COMMENT ON COLUMN coop_stat_worker.cancelled IS 'pictures whose session no longer waited when their turn came';
COMMENT ON COLUMN coop_stat_worker.errors IS 'pictures that the model could not embed';
COMMENT ON COLUMN coop_stat_worker.panics IS 'batches in which the model failed unexpectedly';
COMMENT ON COLUMN coop_stat_worker.decode_ms IS 'milliseconds that sessions spent on decoding and scaling pictures, all together';
COMMENT ON COLUMN coop_stat_worker.queue_ms IS 'milliseconds that pictures waited, all together';
COMMENT ON COLUMN coop_stat_worker.model_ms IS 'milliseconds that the models worked';
COMMENT ON VIEW coop_stat_worker_batches IS 'batches since stats_reset by size';
COMMENT ON COLUMN coop_stat_worker_batches.size IS 'a power of two: batches of more than half of it, up to it';
COMMENT ON COLUMN coop_stat_worker_batches.batches IS 'how many there were';
COMMENT ON COLUMN coop_stat_worker_batches.images IS 'pictures in all of them';

-- The catalogue. Attributes and values count from 1; attribute k owns the dimensions (k-1) n + 1 to k n.
COMMENT ON TABLE coopembed.models IS 'models by name: read with coop_models(), written by coop_load_model() and coop_drop_model()';
COMMENT ON COLUMN coopembed.models.name IS 'the name that functions take';
COMMENT ON COLUMN coopembed.models.digest IS 'SHA-256 of what decides an embedding: architecture, vocabulary, preprocessing, weights';
COMMENT ON COLUMN coopembed.models.fingerprint IS 'its first 32 bits, which every embedding carries';
COMMENT ON COLUMN coopembed.models.subspaces IS 'K, one for each attribute';
COMMENT ON COLUMN coopembed.models.subspace_dim IS 'n, dimensions of each';
COMMENT ON COLUMN coopembed.models.config IS 'config.json; a character that the encoding of the database lacks is escaped';
COMMENT ON COLUMN coopembed.models.loaded_at IS 'when it was loaded here';
COMMENT ON TABLE coopembed.model_weights IS 'model.safetensors of each model, in parts; the owner''s alone to read';
COMMENT ON COLUMN coopembed.model_weights.model IS 'name of the model';
COMMENT ON COLUMN coopembed.model_weights.part IS 'place in the file, from 1';
COMMENT ON COLUMN coopembed.model_weights.bytes IS 'the part';
COMMENT ON TABLE coopembed.attributes IS 'attributes of models: read with coop_attributes()';
COMMENT ON COLUMN coopembed.attributes.model IS 'name of the model';
COMMENT ON COLUMN coopembed.attributes.ordinal IS 'which subspace it owns, from 1';
COMMENT ON COLUMN coopembed.attributes.name IS 'the name that functions take';
COMMENT ON COLUMN coopembed.attributes.ordered IS 'whether its values have an order, as sleeve lengths do';
COMMENT ON TABLE coopembed.attribute_values IS 'values of attributes: read with coop_attribute_values()';
COMMENT ON COLUMN coopembed.attribute_values.model IS 'name of the model';
COMMENT ON COLUMN coopembed.attribute_values.attribute IS 'ordinal of the attribute';
COMMENT ON COLUMN coopembed.attribute_values.ordinal IS 'place among the attribute''s values, from 1; of ordered attributes, the order';
COMMENT ON COLUMN coopembed.attribute_values.value IS 'the name that functions take';
COMMENT ON COLUMN coopembed.attribute_values.images IS 'training images that show it';
COMMENT ON COLUMN coopembed.attribute_values.query IS 'what coop_attr_query() returns; null: no training image showed it';
COMMENT ON COLUMN coopembed.attribute_values.own IS 'defined by coop_define_attribute_value(), not trained';
COMMENT ON TABLE coopembed.categories IS 'categories of models: read with coop_categories()';
COMMENT ON COLUMN coopembed.categories.model IS 'name of the model';
COMMENT ON COLUMN coopembed.categories.ordinal IS 'place among the model''s categories, from 1';
COMMENT ON COLUMN coopembed.categories.name IS 'the name that functions take';
COMMENT ON COLUMN coopembed.categories.images IS 'training images of it';
COMMENT ON COLUMN coopembed.categories.query IS 'what coop_category_query() returns; null: there was no training image of it';
COMMENT ON COLUMN coopembed.categories.own IS 'defined by coop_define_category(), not trained';
COMMENT ON TABLE coopembed.proxies IS 'where training drew embeddings to: what coop_predict() and coop_tags() compare with';
COMMENT ON COLUMN coopembed.proxies.model IS 'name of the model';
COMMENT ON COLUMN coopembed.proxies.attribute IS 'ordinal of the attribute; 0: the categories';
COMMENT ON COLUMN coopembed.proxies.points IS 'one point for each value, one after the other';
COMMENT ON COLUMN coopembed.proxies.absent IS 'the point of images without a value, where the model learned one';
COMMENT ON TABLE coopembed.knn_graphs IS 'graphs kept by coop_build_knn(): read with coop_knn_graphs()';
COMMENT ON COLUMN coopembed.knn_graphs.graph IS 'the table that holds it';
COMMENT ON COLUMN coopembed.knn_graphs.relation IS 'the table that it is of';
COMMENT ON COLUMN coopembed.knn_graphs.id_column IS 'column of that table''s ids';
COMMENT ON COLUMN coopembed.knn_graphs.emb_column IS 'column of its embeddings';
COMMENT ON COLUMN coopembed.knn_graphs.k IS 'neighbours of each image';
COMMENT ON COLUMN coopembed.knn_graphs.attribute IS 'the attribute in which they are near; null: all';
COMMENT ON TABLE coopembed.embedding_runs IS 'runs of coop_embed_table(): read with the view coop_embed_progress';
COMMENT ON COLUMN coopembed.embedding_runs.pid IS 'process id of the session';
COMMENT ON COLUMN coopembed.embedding_runs.relation IS 'the table that was named';
COMMENT ON COLUMN coopembed.embedding_runs.model IS 'name of the model';
COMMENT ON COLUMN coopembed.embedding_runs.total IS 'rows that had no embedding of the model at the start';
COMMENT ON COLUMN coopembed.embedding_runs.done IS 'rows embedded and committed';
COMMENT ON COLUMN coopembed.embedding_runs.failed IS 'rows whose picture could not be embedded';
COMMENT ON COLUMN coopembed.embedding_runs.locked IS 'rows left out because another session held them';
COMMENT ON COLUMN coopembed.embedding_runs.started IS 'when the run began';
COMMENT ON COLUMN coopembed.embedding_runs.updated IS 'when its last batch was committed';
COMMENT ON COLUMN coopembed.embedding_runs.finished IS 'when it ended; null: it did not';

-- Parts of the functions above, not meant to be called by others.
COMMENT ON FUNCTION coopembed.average_precision(double precision[]) IS 'aggregate final function of coop_average_precision()';
COMMENT ON FUNCTION coopembed.rank_step(double precision[], boolean) IS 'aggregate transition function of coop_average_precision()';
COMMENT ON FUNCTION coopembed.recall(integer[]) IS 'aggregate final function of coop_recall_at()';
COMMENT ON FUNCTION coopembed.recall_step(integer[], boolean, integer) IS 'aggregate transition function of coop_recall_at()';
COMMENT ON FUNCTION coopembed.embedding_column(regclass, name) IS 'internal: the quoted name of a column of embeddings, or an error';
COMMENT ON FUNCTION coopembed.qualified(regclass) IS 'internal: a relation''s name for a statement, with its schema';
COMMENT ON FUNCTION coopembed.fingerprint(coopvec) IS 'the fingerprint of the model that made an embedding, as a number';
COMMENT ON FUNCTION coopembed.digest(coopvec) IS 'internal: 128 bits of the SHA-256 of an embedding';
COMMENT ON FUNCTION coopembed.worker_stats() IS 'internal: what coop_stat_worker and coop_stat_worker_batches show';
COMMENT ON FUNCTION coopembed.embed_model(text) IS 'internal: the model that coop_embed_table() is to use';
COMMENT ON FUNCTION coopembed.embed_step(regclass, text, text, text[], text, bigint, integer) IS 'internal: one batch of coop_embed_table()';
COMMENT ON FUNCTION coopembed.embed_begin(regclass, text, bigint) IS 'internal: coop_embed_table() begins';
COMMENT ON FUNCTION coopembed.embed_end() IS 'internal: coop_embed_table() ends';
COMMENT ON FUNCTION coopembed.embed_targets(regclass, name, name) IS 'internal: the tables in which rows lie, with their keys';
COMMENT ON FUNCTION coopembed.embed_missing(regclass, name, name, bigint) IS 'internal: rows that have a picture and no embedding of a model';
COMMENT ON FUNCTION coopembed.any_nearer(coopvec, coopquery[], double precision) IS 'internal: whether one of the targets is nearer than that';
COMMENT ON FUNCTION coopembed.asked_attributes(coopquery) IS 'internal: the attributes that a query asks for, null if all';
COMMENT ON FUNCTION coopembed.centre(coopquery, text[]) IS 'internal: the point that a query names in some attributes';
COMMENT ON FUNCTION coopembed.check_k(integer) IS 'internal: an error unless k is 1 to 1000';
COMMENT ON FUNCTION coopembed.check_plain(regclass) IS 'internal: an error unless a graph is as coop_build_knn() makes it';
COMMENT ON FUNCTION coopembed.check_unique(regclass, name, text) IS 'internal: an error if two rows have one id';
COMMENT ON FUNCTION coopembed.check_walk(regclass, name, name, integer, text[], regclass) IS 'internal: what both transitions check first';
COMMENT ON FUNCTION coopembed.full_name(text) IS 'internal: the table that a name means, with its schema';
COMMENT ON FUNCTION coopembed.embed_rate(bigint, interval) IS 'internal: rows a second';
COMMENT ON FUNCTION coopembed.id_type(regclass, name) IS 'internal: the type of an id column, or an error';
COMMENT ON FUNCTION coopembed.image_id(regclass, name, name, text) IS 'internal: an id as its column writes it, or an error';
COMMENT ON FUNCTION coopembed.is_plain(regclass) IS 'internal: whether a graph is a table that runs no code of anybody''s';
COMMENT ON FUNCTION coopembed.is_trusted(regclass) IS 'internal: whether a table is the current user''s or a superuser''s';
COMMENT ON FUNCTION coopembed.kept_graph(regclass, name, name, integer, text[]) IS 'internal: the kept graph that answers for this';
COMMENT ON FUNCTION coopembed.knn(regclass) IS 'internal: what a graph is of';
COMMENT ON FUNCTION coopembed.knn_add_graph(regclass, regclass, name, name, integer, text) IS
    'internal: lists a table of the caller''s own as a graph';
COMMENT ON FUNCTION coopembed.knn_batch(regclass) IS 'internal: computes lists that wait';
COMMENT ON FUNCTION coopembed.knn_count(regclass) IS 'internal: how many images a graph has, and how many wait';
COMMENT ON FUNCTION coopembed.knn_forget(regclass) IS 'internal: takes out images that are gone or changed';
COMMENT ON FUNCTION coopembed.knn_lock(regclass, text) IS 'internal: locks a graph that the caller may refresh';
COMMENT ON FUNCTION coopembed.knn_open(regclass, name, name, text, integer, text) IS 'internal: a graph''s table, made if it is not there';
COMMENT ON FUNCTION coopembed.knn_register(regclass) IS 'internal: adds new images to a graph';
COMMENT ON FUNCTION coopembed.knn_remove_gone() IS 'internal: takes graphs that were dropped from the list';
COMMENT ON FUNCTION coopembed.knn_to_refresh(regclass) IS 'internal: what a graph is of, or an error unless the caller may refresh it';
COMMENT ON FUNCTION coopembed.lists(regclass, name, text, text[], integer, text) IS 'internal: SQL for lists of neighbours';
COMMENT ON FUNCTION coopembed.nearest(regclass, name, text, text, integer, text) IS 'internal: SQL for the k rows nearest to a target';
COMMENT ON AGGREGATE coopembed.route(text, text[], double precision[], text, text) IS 'internal: the shortest path, or how many images can be reached';
COMMENT ON FUNCTION coopembed.route_step(internal, text, text[], double precision[], text, text) IS 'internal: aggregate transition function of route()';
COMMENT ON FUNCTION coopembed.route_final(internal) IS 'internal: aggregate final function of route()';
COMMENT ON FUNCTION coopembed.target(text, text[]) IS 'internal: SQL for what the distance to an embedding is measured from';
COMMENT ON FUNCTION coopembed.tell_outdated(regclass, bigint, bigint) IS 'internal: says so if a graph is out of date';
COMMENT ON FUNCTION coopembed.walk(regclass, name, name, text, text, coopquery, text[], integer, regclass) IS 'internal: the path of both transitions';

-- Shards.
COMMENT ON FUNCTION coopembed.open_search(text, coopquery, oid[]) IS
    'internal: a cursor for a search in which some foreign partitions are taken to be empty';
COMMENT ON FUNCTION coopembed.search_columns(regtype, regclass) IS
    'internal: what coop_search() gives for a row type; null for the distance';
COMMENT ON FUNCTION coopembed.search_statement(regtype, name, integer, text, regclass) IS
    'internal: the statement that coop_search() runs; its parameter $1 is the query';
COMMENT ON FUNCTION coopembed.search_unreachable(text, coopquery, regclass) IS
    'internal: which partitions coop_search() leaves out, with a warning for each';
COMMENT ON FUNCTION coop_search(anyelement, name, coopquery, integer, text, regclass, boolean) IS
    'the k rows nearest to a query, in the order of their distance; can go on without servers of partitions that are down';
