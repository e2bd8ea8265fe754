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
INSERT INTO public.dialogtech_accounts VALUES ('cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 0.025, 1796049561.631406, 1796049502.631406, 0.002250648400058708, 0);
INSERT INTO public.dialogtech_alert_grants VALUES ('024318132fed4c16a54ec90aab7f8460', 'e7f0edcd1bd0e21797e39a07d1094b9956d80173563267f6cd816c9800461834', 1796049504.957553);
INSERT INTO public.dialogtech_alerts VALUES ('d5b57887ec89c81b7f918bc0dfad1248eef479810931610ecc4bde7c6dab7e3e', '024318132fed4c16a54ec90aab7f8460', 1796049504.957553, 1796053104.957553, 0, NULL, 1, 1796049505.004614, 'a59a4f1f4b591d28268b16c3ad7b116b9391a12e4919e4e862a3db9ced0585e3', '1d0b4683f4394ae3b4087a9a35264b65', 2, 1796049504.957553, 0, '3776519f1a116df9ababb0a1e7b5be16bacce2b4a33f657ad1cde10fd0c18d43', '');
INSERT INTO public.dialogtech_alerts VALUES ('76d020bf5f39baa3ff08fb7a2a4ede06d563a32c893dbbcecdc26aae9bbca114', NULL, 1796049505.006407, 1796049505.008141, 0, NULL, 1, 1796049505.006407, 'b69050aca4786f8326f7eb1f63682269cab2d3bba12c185239b2dea30b359e45', '', 1, 1796049505.006407, 0, 'b94b61b905475130bf88738d364d409a42eee403b36f6d13e7e6e13641aafd25', '');
INSERT INTO public.dialogtech_journal VALUES (100);
INSERT INTO public.dialogtech_messages VALUES (1, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796049499.3835754, 'sent', 'e312c4f55ddc571c6eb58591c8f72ca55cdd931d0a72d4c2696c011a13227a01', '731a5a8229cc424b9778945e28fb3153', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><result>success</result><result_description>[1] Message Sent</result_description></response>", "to": "\u20267777", "from": "\u20262111", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-30T14:38:19.384+00:00", "waited_seconds": 0.157, "attempts": 1}', 1796049529.3835754, 1796049499.344984, 1796049499.392429, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (2, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796049500.5294027, 'refused', '7d6913c66ff478bf7c934c26bddd17b72415f32bedb598c634631839c30314ac', '4948ade4a71e4a0c91af151b9a445a2f', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"result_description": "Invalid number"}', 1796049530.5294027, 1796049500.502586, 1796049500.518595, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (3, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796049501.6489198, 'throttled', 'a7ab33c6b91a8795562457d2e0a45a2021e9cd9a8f5580b294faebea586e6461', '2f0077187ec44a0e9852947e289f949b', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049531.6489198, 1796049501.621249, 1796049501.631406, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (4, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796049502.7662246, 'in_doubt', 'e6ac01b45588dbb470946cbaef46312cfdb669d4d2d1b90f51f5f3e2be8923e7', 'd0698007de2e4268a39cfaba46374050', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049532.7662246, 1796049502.738499, 1796049502.74305, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (5, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796049503.872711, 'sending', 'c5dda5f99ed53f536a9a84a52804829ebe1ebc5a51577004ccdbcddd3f97da0b', '1ee74894a02c4dd986325b7cc37018aa', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049533.872711, 1796049503.845501, 1796049503.849269, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (6, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796049503.8777654, 'reserved', 'c0574a1d6685dc14660c0aa74ce7a8e503f67b0faa551eca6fbc55c782694278', '5b428b7d781f470e90ba2b3420e3c15d', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796049503.8777654, 1796049503.850925, 1796049503.850925, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (7, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796049504.9978056, 'sent', 'a59a4f1f4b591d28268b16c3ad7b116b9391a12e4919e4e862a3db9ced0585e3', '205620987e1f4cdbaed0614a7b9955d4', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><result>success</result><result_description>[1] Message Sent</result_description></response>", "to": "\u20267777", "from": "\u20262112", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-30T14:38:24.998+00:00", "waited_seconds": 0.039, "attempts": 1}', 1796049534.9978056, 1796049504.960218, 1796049505.001128, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
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
