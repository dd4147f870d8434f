CREATE TABLE reviews (
    id        uuid PRIMARY KEY,
    product   bigint NOT NULL,
    customer  bigint,
    stars     smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    title     text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 120),
    text      text NOT NULL CHECK (char_length(text) <= 10000),
    published boolean NOT NULL,
    created   timestamptz NOT NULL,
    version   integer NOT NULL
);
CREATE INDEX reviews_of_a_product ON reviews (product, created DESC);
CREATE INDEX reviews_of_a_customer ON reviews (customer);
COMMENT ON COLUMN reviews.version IS 'of the event that made the row what it is; the ETag';

CREATE TABLE kept_answer (
    path        text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    answer      jsonb NOT NULL,
    kept_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (path, key)
);
CREATE INDEX kept_answer_age ON kept_answer (kept_at);
