CREATE TABLE public.dialogtech_accounts (
    account character varying(64) NOT NULL,
    extra_margin double precision NOT NULL,
    widened_until double precision NOT NULL,
    paused_until double precision NOT NULL,
    usual_latency double precision NOT NULL,
    unknown_until double precision DEFAULT '0'::double precision NOT NULL,
    clock_set_by double precision DEFAULT '0'::double precision NOT NULL
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
    map_index integer DEFAULT '-1'::integer NOT NULL,
    namespace character varying(250) DEFAULT ''::character varying NOT NULL
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
INSERT INTO public.dialogtech_accounts VALUES ('cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 0.025, 1796057834.410597, 1796057775.410597, 0.002750914900570933, 0, 0);
INSERT INTO public.dialogtech_alert_grants VALUES ('78ade30866e74f55af472d990982a3b0', 'e7f0edcd1bd0e21797e39a07d1094b9956d80173563267f6cd816c9800461834', 1796057777.758679);
INSERT INTO public.dialogtech_alerts VALUES ('d5b57887ec89c81b7f918bc0dfad1248eef479810931610ecc4bde7c6dab7e3e', '78ade30866e74f55af472d990982a3b0', 1796057777.758679, 1796061377.758679, 0, NULL, 1, 1796057777.814465, '5af1353a2064c8e13c8e04f297ddf487a23a77eb3408b0671cef8d3ae14f0369', '6d9844f439fe4dd98977595c2aa0c7f8', 2, 1796057777.758679, 0, '3776519f1a116df9ababb0a1e7b5be16bacce2b4a33f657ad1cde10fd0c18d43', '');
INSERT INTO public.dialogtech_alerts VALUES ('76d020bf5f39baa3ff08fb7a2a4ede06d563a32c893dbbcecdc26aae9bbca114', NULL, 1796057777.821842, 1796057777.826954, 0, NULL, 1, 1796057777.821842, '380f6e73f1b3203d8433288e051e2d4f7ef2585badd60bf8bef7494d1b1d4217', '', 1, 1796057777.821842, 0, 'b94b61b905475130bf88738d364d409a42eee403b36f6d13e7e6e13641aafd25', '');
INSERT INTO public.dialogtech_journal VALUES (101);
INSERT INTO public.dialogtech_messages VALUES (1, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796057772.1865323, 'sent', 'e312c4f55ddc571c6eb58591c8f72ca55cdd931d0a72d4c2696c011a13227a01', 'e3b3b825cdab4b2f84037e12fcf84ae3', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><result>success</result><result_description>[1] Message Sent</result_description></response>", "to": "\u20267777", "from": "\u20262111", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-30T16:56:12.187+00:00", "waited_seconds": 0.106, "attempts": 1}', 1796057802.1865323, 1796057772.148352, 1796057772.193738, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1, '');
INSERT INTO public.dialogtech_messages VALUES (2, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796057773.3237839, 'refused', '7d6913c66ff478bf7c934c26bddd17b72415f32bedb598c634631839c30314ac', '1964710586c74750a3f1afd05ebb9739', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"result_description": "Invalid number"}', 1796057803.3237839, 1796057773.29782, 1796057773.303059, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1, '');
INSERT INTO public.dialogtech_messages VALUES (3, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796057774.4316757, 'throttled', 'a7ab33c6b91a8795562457d2e0a45a2021e9cd9a8f5580b294faebea586e6461', '422179afc3c947a9a55f70a75ff04f8c', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796057804.4316757, 1796057774.40595, 1796057774.410597, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1, '');
INSERT INTO public.dialogtech_messages VALUES (4, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796057775.5399647, 'in_doubt', 'e6ac01b45588dbb470946cbaef46312cfdb669d4d2d1b90f51f5f3e2be8923e7', '9cd21019635a4c989b034505dcc01eb1', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796057805.5399647, 1796057775.514491, 1796057775.526795, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1, '');
INSERT INTO public.dialogtech_messages VALUES (5, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796057776.6608043, 'sending', 'c5dda5f99ed53f536a9a84a52804829ebe1ebc5a51577004ccdbcddd3f97da0b', 'bdff2443f5444c31b6e4d289e668bded', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796057806.6608043, 1796057776.634613, 1796057776.640175, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1, '');
INSERT INTO public.dialogtech_messages VALUES (6, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796057776.6736116, 'reserved', 'c0574a1d6685dc14660c0aa74ce7a8e503f67b0faa551eca6fbc55c782694278', '8a3ad4eebf0a4097a9928444e83b6d66', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796057776.6736116, 1796057776.646767, 1796057776.646767, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1, '');
INSERT INTO public.dialogtech_messages VALUES (7, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796057777.7991998, 'sent', '5af1353a2064c8e13c8e04f297ddf487a23a77eb3408b0671cef8d3ae14f0369', '70d3602fc7444d8eb69019f5538029cf', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><result>success</result><result_description>[1] Message Sent</result_description></response>", "to": "\u20267777", "from": "\u20262112", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-30T16:56:17.799+00:00", "waited_seconds": 0.039, "attempts": 1}', 1796057807.7991998, 1796057777.761252, 1796057777.806104, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1, '');
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
SELECT pg_catalog.setval('public.dialogtech_messages_id_seq', 7, true);
