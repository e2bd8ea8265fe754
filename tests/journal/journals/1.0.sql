CREATE TABLE public.dialogtech_accounts (
    account character varying(64) NOT NULL,
    extra_margin double precision NOT NULL,
    widened_until double precision NOT NULL,
    paused_until double precision NOT NULL,
    usual_latency double precision NOT NULL,
    unknown_until double precision DEFAULT '0'::double precision NOT NULL
);
CREATE TABLE public.dialogtech_alert_grants (
    claim character varying(32) NOT NULL,
    recipient character varying(64) NOT NULL,
    at double precision NOT NULL
);
CREATE TABLE public.dialogtech_alerts (
    key character varying(64) NOT NULL,
    claim character varying(32),
    claimed_at double precision NOT NULL,
    cooldown_ends double precision NOT NULL,
    reported integer NOT NULL,
    reported_since double precision,
    suppressed integer NOT NULL,
    suppressed_since double precision,
    message_key character varying(64) DEFAULT ''::character varying NOT NULL,
    last_suppressed character varying(32) DEFAULT ''::character varying NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    failing_since double precision,
    sent_before integer DEFAULT 0 NOT NULL,
    about character varying(64) DEFAULT ''::character varying NOT NULL,
    resolution character varying(32) DEFAULT ''::character varying NOT NULL
);
CREATE TABLE public.dialogtech_journal (
    version integer NOT NULL
);
CREATE TABLE public.dialogtech_messages (
    id integer NOT NULL,
    account character varying(64) NOT NULL,
    number character varying(64) NOT NULL,
    at double precision NOT NULL,
    state character varying(16) NOT NULL,
    key character varying(64),
    owner character varying(32) NOT NULL,
    digest character varying(64) NOT NULL,
    recipient_tail character varying(4) NOT NULL,
    detail text NOT NULL,
    deadline double precision NOT NULL,
    created double precision NOT NULL,
    updated double precision NOT NULL,
    recipient character varying(64) DEFAULT ''::character varying NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    displaced integer DEFAULT 0 NOT NULL,
    dag_id character varying(250) DEFAULT ''::character varying NOT NULL,
    run_id character varying(250) DEFAULT ''::character varying NOT NULL,
    task_id character varying(250) DEFAULT ''::character varying NOT NULL,
    map_index integer DEFAULT '-1'::integer NOT NULL
);
CREATE SEQUENCE public.dialogtech_messages_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.dialogtech_messages_id_seq OWNED BY public.dialogtech_messages.id;
ALTER TABLE ONLY public.dialogtech_messages ALTER COLUMN id SET DEFAULT nextval('public.dialogtech_messages_id_seq'::regclass);
INSERT INTO public.dialogtech_accounts VALUES ('cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 0.05, 1796049340.843042, 1796049281.843042, 0.0022192720007296884, 0);
INSERT INTO public.dialogtech_alert_grants VALUES ('031c682de34244f5aca38b5c2662eb75', 'e7f0edcd1bd0e21797e39a07d1094b9956d80173563267f6cd816c9800461834', 1796049283.063122);
INSERT INTO public.dialogtech_alerts VALUES ('d5b57887ec89c81b7f918bc0dfad1248eef479810931610ecc4bde7c6dab7e3e', '031c682de34244f5aca38b5c2662eb75', 1796049283.063122, 1796052883.063122, 0, NULL, 1, 1796049283.107459, '00dcaf6d77dbea47a417d63fa13336de0511e6562aa329062297460027906258', '91c4c84769e04a4ca91df4b39e3463a1', 2, 1796049283.063122, 0, '3776519f1a116df9ababb0a1e7b5be16bacce2b4a33f657ad1cde10fd0c18d43', '');
INSERT INTO public.dialogtech_alerts VALUES ('76d020bf5f39baa3ff08fb7a2a4ede06d563a32c893dbbcecdc26aae9bbca114', NULL, 1796049283.109613, 1796049283.111619, 0, NULL, 1, 1796049283.109613, 'e22c502e9bb64e37a22118fd541645e50a6ad83b56c334aa412cbae1feaf3a41', '', 1, 1796049283.109613, 0, 'b94b61b905475130bf88738d364d409a42eee403b36f6d13e7e6e13641aafd25', '');
INSERT INTO public.dialogtech_journal VALUES (100);
INSERT INTO public.dialogtech_messages VALUES (1, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796049278.7151833, 'throttled', NULL, '2ddcba2dcc06457bb5407b83e8de4f76', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049308.7151833, 1796049278.678175, 1796049278.732986, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (2, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796049279.728275, 'sent', 'e312c4f55ddc571c6eb58591c8f72ca55cdd931d0a72d4c2696c011a13227a01', 'e74650dffdff4961a9407db6b734b946', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><result>success</result><result_description>[1] Message Sent</result_description></response>", "to": "\u20267777", "from": "\u20262112", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-30T14:34:39.728+00:00", "waited_seconds": 1.108, "attempts": 2}', 1796049309.728275, 1796049278.731693, 1796049279.731664, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (3, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796049279.7587602, 'refused', '7d6913c66ff478bf7c934c26bddd17b72415f32bedb598c634631839c30314ac', '9999cb6794234ad790d6914fbe2f1105', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"result_description": "Invalid number"}', 1796049309.7587602, 1796049279.73406, 1796049279.737028, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (4, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796049280.8638458, 'throttled', 'a7ab33c6b91a8795562457d2e0a45a2021e9cd9a8f5580b294faebea586e6461', 'eb6537b0c1864393962c878d1dd4517f', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049310.8638458, 1796049280.839454, 1796049280.843042, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (5, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796049281.9698794, 'in_doubt', 'e6ac01b45588dbb470946cbaef46312cfdb669d4d2d1b90f51f5f3e2be8923e7', '85a9dfa463ef4288a1eca6912b4b9ad6', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049311.9698794, 1796049281.945687, 1796049281.949223, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (6, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796049283.0759082, 'sending', 'c5dda5f99ed53f536a9a84a52804829ebe1ebc5a51577004ccdbcddd3f97da0b', '147d3e91aaf64d5788fee5a20c1cfb0a', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049313.0759082, 1796049283.05189, 1796049283.054785, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (7, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796049283.0806098, 'reserved', 'c0574a1d6685dc14660c0aa74ce7a8e503f67b0faa551eca6fbc55c782694278', 'd8a574bb9dce4b37a02b417cd85c645f', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049283.0806098, 1796049283.056655, 1796049283.056655, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (8, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796049283.1004949, 'sent', '00dcaf6d77dbea47a417d63fa13336de0511e6562aa329062297460027906258', 'f2126e6fac5245179ec40571e5bcd5c5', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><result>success</result><result_description>[1] Message Sent</result_description></response>", "to": "\u20267777", "from": "\u20262112", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-30T14:34:43.100+00:00", "waited_seconds": 0.036, "attempts": 1}', 1796049313.1004949, 1796049283.065664, 1796049283.103799, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
ALTER TABLE ONLY public.dialogtech_accounts
    ADD CONSTRAINT dialogtech_accounts_pkey PRIMARY KEY (account);
ALTER TABLE ONLY public.dialogtech_alert_grants
    ADD CONSTRAINT dialogtech_alert_grants_pkey PRIMARY KEY (claim);
ALTER TABLE ONLY public.dialogtech_alerts
    ADD CONSTRAINT dialogtech_alerts_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.dialogtech_messages
    ADD CONSTRAINT dialogtech_messages_key_key UNIQUE (key);
ALTER TABLE ONLY public.dialogtech_messages
    ADD CONSTRAINT dialogtech_messages_pkey PRIMARY KEY (id);
CREATE INDEX dialogtech_alert_grants_recipient_at ON public.dialogtech_alert_grants USING btree (recipient, at);
CREATE INDEX dialogtech_messages_account_at ON public.dialogtech_messages USING btree (account, at);
CREATE INDEX dialogtech_messages_at ON public.dialogtech_messages USING btree (at);
CREATE INDEX dialogtech_messages_dag_at ON public.dialogtech_messages USING btree (dag_id, at);
CREATE INDEX dialogtech_messages_not_sent ON public.dialogtech_messages USING btree (state, at) WHERE ((state)::text <> 'sent'::text);
SELECT pg_catalog.setval('public.dialogtech_messages_id_seq', 8, true);
